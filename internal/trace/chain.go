package trace

import (
	"cmp"
	"slices"
	"time"
)

const (
	// slack is how far apart two events may be and still count as one: what
	// ends a wait is seen a moment before the wait itself ends.
	slack = 30 * time.Millisecond
	// chainDepth bounds how far a link is explained by spans within it.
	chainDepth = 5
	// explained is the shortest link that is worth an explanation.
	explained = 100 * time.Millisecond
	// same is the share of a link from which on a detail within it is but
	// another name of it.
	same = 0.97
)

// link is a part of a chain, and the chain of what it waited for in turn.
type link struct {
	span Span // cut to the window of the chain
	// gap is a time of which nothing is known but what came next (span.Name).
	gap   bool
	parts []link
}

// chain explains the time from began to ended: it walks back from the end and
// takes, each time, the span that ended last before what follows it; of several
// that ended at about the same time, the one that began first.
func chain(candidates []Span, began, ended time.Time) []link {
	var links []link
	next := "its end"
	for at := ended; at.Sub(began) > slack; {
		s, ok := lastBefore(candidates, began, at)
		if !ok {
			links = append(links, gapLink(began, at, next))
			break
		}
		if at.Sub(s.End) > slack {
			links = append(links, gapLink(s.End, at, next))
		}
		if s.Start.Before(began) {
			s.Start = began
		}
		if s.End.After(at) {
			s.End = at
		}
		if s.Start.Before(s.End) {
			links = append(links, link{span: s})
		}
		next = label(s)
		at = s.Start // before at, or it were not usable
	}
	slices.Reverse(links)
	return links
}

func gapLink(from, to time.Time, next string) link {
	return link{gap: true, span: Span{Name: next, Start: from, End: to}}
}

// lastBefore picks the span that ended last, but after began and not after at.
func lastBefore(candidates []Span, began, at time.Time) (Span, bool) {
	usable := func(s Span) bool {
		return s.End.After(began) && s.Start.Before(at) && !s.End.After(at.Add(slack))
	}
	var last time.Time
	for _, s := range candidates {
		if usable(s) && s.End.After(last) {
			last = s.End
		}
	}
	var best Span
	found := false
	for _, s := range candidates {
		if usable(s) && last.Sub(s.End) <= slack && (!found || s.Start.Before(best.Start)) {
			best, found = s, true
		}
	}
	return best, found
}

// explain gives each long link the chain of what happened within it: steps
// that of their acts, acts and details that of the details of their node.
func explain(links []link, all []Span, depth int) {
	if depth == 0 {
		return
	}
	for i := range links {
		l := &links[i]
		if l.gap || l.span.Duration() < explained {
			continue
		}
		within := inside(all, l.span)
		if len(within) == 0 {
			continue
		}
		l.parts = chain(within, l.span.Start, l.span.End)
		explain(l.parts, all, depth-1)
	}
}

// inside are the spans that may explain s.
func inside(all []Span, s Span) []Span {
	if s.Kind == Step {
		if acts := overlapping(all, s, func(o Span) bool { return o.Kind == Act && (o.Within == s.Name || o.Within == "") }); len(acts) > 0 {
			return acts
		}
		return overlapping(all, s, func(o Span) bool { return o.Kind == Detail && (o.Within == s.Name || o.Within == "") })
	}
	on, known := s.Track, s.Track != Host
	if s.Track == Host {
		on = nodeOf(s.Lane)
		known = slices.ContainsFunc(all, func(o Span) bool { return o.Track == on })
	}
	limit := time.Duration(float64(s.Duration()) * same)
	return overlapping(all, s, func(o Span) bool {
		about := o.Track == on || o.Track == Cluster || o.Track == Host && nodeOf(o.Lane) == on
		ours := o.Within == s.Within || o.Within == "" || s.Within == ""
		return o.Kind == Detail && ours && (about || !known) && o.Duration() < limit
	})
}

func overlapping(all []Span, s Span, want func(Span) bool) []Span {
	var out []Span
	for _, o := range all {
		if want(o) && o.End.After(s.Start) && o.Start.Before(s.End) && !o.End.After(s.End.Add(slack)) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End)) })
	return out
}
