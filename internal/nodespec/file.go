package nodespec

// File is a file to lay into a node before its first start, as root's.
type File struct {
	Path string // absolute
	Mode uint32 // permission bits
	Data []byte
	Link string // target, for a symbolic link; Mode and Data do not count then
}
