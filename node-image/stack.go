package nodeimage

// stack is the image's layers, the lowest first.
type stack struct {
	layers []*fileLayer
	// own maps a folder that one layer alone makes up to that layer's diff ID.
	own map[string]string
}

func newStack() *stack { return &stack{own: map[string]string{}} }

// add puts a layer on top. folder is what it alone makes up, "" for nothing.
func (s *stack) add(l *fileLayer, folder string) {
	s.layers = append(s.layers, l)
	if folder != "" {
		s.own[folder] = l.meta.DiffID.String()
	}
}
