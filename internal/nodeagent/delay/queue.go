package delay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What the kernel and this program say to each other: messages of netlink's family
// NETLINK_NETFILTER, of its subsystem for queues (linux/netfilter/nfnetlink_queue.h).
const (
	messagePacket  = unix.NFNL_SUBSYS_QUEUE << 8
	messageConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2
	messageVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 3 // of a batch

	attrPacketHeader  = 1
	attrVerdict       = 2
	attrConfigCommand = 1
	attrConfigParams  = 2
	attrConfigLength  = 3
	attrConfigMask    = 4
	attrConfigFlags   = 5

	commandBind = 1
	copyMeta    = 1 // packets are told of, not copied
	flagGSO     = 4 // packets that a device would cut up stay whole

	verdictAccept = 1
)

// receiveBuffer holds what the kernel says while this program is not running: some
// 200 bytes for each packet.
const receiveBuffer = maxPackets * 1 << 10

// queue is a netlink socket that a queue is bound to.
type queue struct {
	file   *os.File
	number uint16
	buf    []byte
	ids    []uint32
}

// open binds the queue. It must have no other listener.
func open(number uint16) (*queue, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("opening the kernel's packet queues: %w", err)
	}
	q := &queue{number: number, buf: make([]byte, 1<<16)}
	if err := q.bind(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("taking packet queue %d: %w", number, err)
	}
	// Go's poller ends a read when the file is closed.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	q.file = os.NewFile(uintptr(fd), "packet queue")
	return q, nil
}

func (q *queue) bind(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	// With force where that is allowed; the plain limit serves a slow network, too.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	// A full buffer loses packets, which a full queue does as well.
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return err
	}
	for _, attrs := range [][]byte{
		attr(attrConfigCommand, []byte{commandBind, 0, 0, 0}),
		join(
			attr(attrConfigParams, []byte{0, 0, 0, 0, copyMeta}),
			attr(attrConfigLength, be32(maxPackets)),
			attr(attrConfigFlags, be32(flagGSO)),
			attr(attrConfigMask, be32(flagGSO)),
		),
	} {
		if err := ask(fd, message(messageConfig, unix.NLM_F_REQUEST|unix.NLM_F_ACK, q.number, attrs)); err != nil {
			return err
		}
	}
	return nil
}

// ask sends a message and reads the kernel's yes or no.
func ask(fd int, m []byte) error {
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<12)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		for kind, body := range messages(buf[:n]) {
			if kind != unix.NLMSG_ERROR || len(body) < 4 {
				continue // a packet that is already there passes
			}
			if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
				return unix.Errno(-code)
			}
			return nil
		}
	}
}

func (q *queue) packets() ([]uint32, error) {
	for {
		n, err := q.file.Read(q.buf)
		if err != nil {
			return nil, fmt.Errorf("hearing of packets: %w", err)
		}
		q.ids = q.ids[:0]
		for kind, body := range messages(q.buf[:n]) {
			if id, ok := packetID(kind, body); ok {
				q.ids = append(q.ids, id)
			}
		}
		if len(q.ids) > 0 {
			return q.ids, nil
		}
	}
}

func (q *queue) accept(last uint32) error {
	m := message(messageVerdict, unix.NLM_F_REQUEST, q.number, attr(attrVerdict, join(be32(verdictAccept), be32(last))))
	if _, err := q.file.Write(m); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("letting packets go: %w", err)
	}
	return nil
}

func (q *queue) close() { _ = q.file.Close() }
