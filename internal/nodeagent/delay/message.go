package delay

import (
	"encoding/binary"
	"iter"
	"slices"

	"golang.org/x/sys/unix"
)

// familyHeader is what follows netlink's own header: family, version, queue.
const familyHeader = 4

// message is a netlink message to a queue.
func message(kind uint16, flags int, queue uint16, attrs []byte) []byte {
	m := make([]byte, unix.NLMSG_HDRLEN+familyHeader, unix.NLMSG_HDRLEN+familyHeader+len(attrs))
	binary.NativeEndian.PutUint32(m[0:], uint32(cap(m)))
	binary.NativeEndian.PutUint16(m[4:], kind)
	binary.NativeEndian.PutUint16(m[6:], uint16(flags))
	m[unix.NLMSG_HDRLEN] = unix.AF_UNSPEC
	binary.BigEndian.PutUint16(m[unix.NLMSG_HDRLEN+2:], queue)
	return append(m, attrs...)
}

// attr is an attribute of a message, filled up to netlink's alignment.
func attr(kind uint16, value []byte) []byte {
	a := make([]byte, unix.SizeofNlAttr, unix.SizeofNlAttr+aligned(len(value)))
	binary.NativeEndian.PutUint16(a[0:], uint16(unix.SizeofNlAttr+len(value)))
	binary.NativeEndian.PutUint16(a[2:], kind)
	return append(a, value...)[:cap(a)]
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// messages gives kind and body of each whole message of a read.
func messages(data []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(data) >= unix.NLMSG_HDRLEN {
			size := int(binary.NativeEndian.Uint32(data))
			if size < unix.NLMSG_HDRLEN || size > len(data) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(data[4:]), data[unix.NLMSG_HDRLEN:size]) {
				return
			}
			data = data[min(aligned(size), len(data)):]
		}
	}
}

// packetID is the number of the packet that a message tells of.
func packetID(kind uint16, body []byte) (uint32, bool) {
	if kind != messagePacket || len(body) < familyHeader {
		return 0, false
	}
	for attrs := body[familyHeader:]; len(attrs) >= unix.SizeofNlAttr; {
		size, kind := int(binary.NativeEndian.Uint16(attrs)), binary.NativeEndian.Uint16(attrs[2:])
		if size < unix.SizeofNlAttr || size > len(attrs) {
			return 0, false
		}
		if value := attrs[unix.SizeofNlAttr:size]; kind == attrPacketHeader && len(value) >= 4 {
			return binary.BigEndian.Uint32(value), true
		}
		attrs = attrs[min(aligned(size), len(attrs)):]
	}
	return 0, false
}
