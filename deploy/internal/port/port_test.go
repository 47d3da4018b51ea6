package port_test

import (
	"net"
	"strconv"
	"testing"

	"weir/deploy/internal/port"
)

func TestFreePortCanBeListenedOnAndIsNotEphemeral(t *testing.T) {
	for range 20 {
		p, err := port.Free(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p >= 32768 {
			t.Errorf("%d is one of Linux's ephemeral ports", p)
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() }) // the next ones must be others
	}
}
