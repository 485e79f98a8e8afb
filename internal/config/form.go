package config

// Form is another form of file than a cluster's: a mapping that is decoded into a T by
// its json tags, as strictly, with every problem and its place.
type Form[T any] struct {
	// Begin is the hint for an empty file, and Single that for several documents.
	Begin, Single string
	// Check finds what else is wrong. Fields are paths such as "steps[1].fault.kind".
	Check func(t *T, wrong func(field, hint, format string, args ...any))
}

// Parse decodes a file's content. The error is an *Invalid with every problem there is.
func (f Form[T]) Parse(name string, data []byte) (*T, error) {
	p := &problems{file: name, at: map[string]position{}}
	root, ok := readRoot(data, p, f.Begin, f.Single)
	if !ok {
		return nil, p.err()
	}
	t := new(T)
	decode(root, t, p)
	f.Check(t, p.add)
	if err := p.err(); err != nil {
		return nil, err
	}
	return t, nil
}
