package trace

import (
	"context"
	"time"
)

type (
	contextKey struct{}
	stepKey    struct{}
)

// NewContext carries r to whatever gets the context.
func NewContext(ctx context.Context, r *Recorder) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext is the recorder that ctx carries, or nil.
func FromContext(ctx context.Context) *Recorder {
	r, _ := ctx.Value(contextKey{}).(*Recorder)
	return r
}

// Within says that what is started with the context belongs to a step: several
// may run at once. Without a recorder it gives ctx.
func Within(ctx context.Context, step string) context.Context {
	if FromContext(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, stepKey{}, step)
}

// Open is a span under way. The zero value is one that nobody records.
type Open struct {
	r *Recorder
	s Span
}

// Start begins a span on the host's track, recorded by whom ctx carries.
func Start(ctx context.Context, kind Kind, lane, name string) Open {
	o := FromContext(ctx).Start(kind, lane, name)
	if o.r != nil {
		o.s.Within, _ = ctx.Value(stepKey{}).(string)
	}
	return o
}

// Start begins a span on the host's track.
func (r *Recorder) Start(kind Kind, lane, name string) Open {
	if r == nil {
		return Open{}
	}
	return Open{r, Span{Kind: kind, Track: Host, Lane: lane, Name: name, Start: time.Now()}}
}

// End records the span as one that ends now.
func (o Open) End() { o.EndWith(nil) }

// EndWith is End for what may have failed.
func (o Open) EndWith(err error) {
	if o.r == nil {
		return
	}
	o.s.End = time.Now()
	if err != nil {
		o.s.Args = map[string]string{"error": err.Error()}
	}
	o.r.Add(o.s)
}
