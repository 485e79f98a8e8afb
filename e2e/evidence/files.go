package evidence

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// The most bytes of evidence.
const (
	mostOfFolder = 24 << 20
	mostOfFile   = 2 << 20
	mostOfLog    = 256 << 10
)

// folderName is a name for a spec that any file system takes: a readable part, and
// one by which no two specs share it.
func folderName(spec string) string {
	const most = 60
	var b strings.Builder
	for _, r := range strings.ToLower(spec) {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		switch {
		case letter:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= most {
			break
		}
	}
	sum := sha256.Sum256([]byte(spec))
	return strings.TrimPrefix(fmt.Sprintf("%s-%x", strings.TrimSuffix(b.String(), "-"), sum[:4]), "-")
}
