package webhook_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// names makes every name that this process asks for mean what the test says: with a real server, because what is tested is
// where the guard stands between the resolver and the connection.
func names(t *testing.T, lookup func(name string) []netip.Addr) {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			if _, err := conn.WriteTo(answer(query[:n], lookup), from); err != nil {
				t.Error(err)
			}
		}
	}()
	usual := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = usual
		_ = conn.Close()
		<-done
	})
}

// answer writes a DNS message (RFC 1035, section 4) with the addresses of the name that is asked for.
func answer(query []byte, lookup func(string) []netip.Addr) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	var labels []string
	end := header
	for query[end] != 0 {
		labels = append(labels, string(query[end+1:end+1+int(query[end])]))
		end += 1 + int(query[end])
	}
	asked := binary.BigEndian.Uint16(query[end+1:])
	var records []byte
	count := 0
	if asked == typeA || asked == typeAAAA {
		for _, a := range lookup(strings.Join(labels, ".")) {
			if a.Is4() != (asked == typeA) {
				continue
			}
			records = append(records, 0xc0, header) // the question's name
			records = binary.BigEndian.AppendUint16(records, asked)
			records = append(records, 0, 1, 0, 0, 0, 0) // of the Internet, for no time at all
			records = binary.BigEndian.AppendUint16(records, uint16(a.BitLen()/8))
			records = append(records, a.AsSlice()...)
			count++
		}
	}
	message := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0}, query[header:end+5]...)
	return append(message, records...)
}

// everywhere serves on all addresses of this machine, and counts connections: a request that is never written counts too.
func everywhere(t *testing.T) (port string, connections *atomic.Int64) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	connections = &atomic.Int64{}
	s := &httptest.Server{Listener: l, Config: &http.Server{
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		},
	}}
	s.Start()
	t.Cleanup(s.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, connections
}

// numbers are spellings that the C library takes for 127.0.0.1 or 0.0.0.0, and Go's resolver for no name at all: refused
// before the guard is asked, or by it, as the binary was built.
var numbers = []string{"127.1", "127.0.1", "127.0.0.1.", "2130706433", "0177.0.0.1", "017700000001", "0177.1", "0"}

// spellings are other ways to write an address that no webhook may reach, loopback first. Where Go takes one for a name, the
// test's server answers as the C library would.
var spellings = []string{
	"127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "localhost", "LOCALHOST", "localhost.",
	"0x7f000001", "0x7F.0x0.0x0.0x1", "0x7f.1", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1",
	"[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]",
	// loopback inside of IPv6
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
	"[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:7f00:1::]",
	// unspecified
	"0.0.0.0", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]",
	// private
	"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.1", "[::ffff:10.0.0.1]", "[::ffff:192.168.0.1]",
	"[64:ff9b::10.0.0.1]", "[2002:a00:1::]", "[2002:c0a8:1::]", "[fc00::1]", "[fd00::1]", "[fd12:3456:789a::1]", "[fec0::1]",
	// carrier-grade NAT
	"100.64.0.1", "100.127.255.254", "[::ffff:100.64.0.1]",
	// link-local, and where clouds keep their machines' credentials
	"169.254.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::]", "[fe80::1]", "[fe80::1%25lo]",
	"[fd00:ec2::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16", "[::ffff:168.63.129.16]",
	// multicast, broadcast, reserved, documentation
	"224.0.0.1", "239.255.255.250", "[ff02::1]", "[ff05::2]", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1",
	"198.51.100.1", "203.0.113.1", "192.88.99.1", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[5f00::1]",
}

func TestNoSpellingLeadsToAPrivateAddress(t *testing.T) {
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	names(t, func(string) []netip.Addr { return loopback })
	port, connections := everywhere(t)
	guarded, open := sender(t, oldSecret, false), sender(t, oldSecret, true)
	for _, host := range slices.Concat(numbers, spellings) {
		f := failure(t, guarded.Send(t.Context(), "http://"+host+":"+port+"/", "evt_1", time.Now(), nil))
		if !strings.Contains(f.Reason, "private address") && !slices.Contains(numbers, host) {
			t.Errorf("%s was not refused for what it is: %v (%v)", host, f, f.Unwrap())
		}
	}
	if n := connections.Load(); n != 0 {
		t.Fatalf("%d connections were made", n)
	}
	for _, host := range spellings[:13] { // it is the guard that held them, and IPv6 is not everywhere
		if err := open.Send(t.Context(), "http://"+host+":"+port+"/", "evt_1", time.Now(), nil); err != nil {
			t.Errorf("without the guard %s does not lead to loopback: %v", host, err)
		}
	}
}

func TestANameThatChangesItsAddressIsNotReached(t *testing.T) {
	public, loopback := netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr("127.0.0.1")
	var means atomic.Pointer[netip.Addr]
	names(t, func(string) []netip.Addr { return []netip.Addr{*means.Load()} })
	port, connections := everywhere(t)
	url := "http://rebinding.example.com:" + port + "/"
	s := sender(t, oldSecret, false)
	for range 1000 {
		means.Store(&public) // Whoever looks before it sends sees a public address …
		if got, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip4", "rebinding.example.com"); err != nil || got[0].Unmap() != public {
			t.Fatalf("looked up %v: %v", got, err)
		}
		means.Store(&loopback) // … and what counts is where the connection goes.
		f := failure(t, s.Send(t.Context(), url, "evt_1", time.Now(), nil))
		if !strings.Contains(f.Reason, "private address") {
			t.Fatalf("refused for another reason: %v (%v)", f, f.Unwrap())
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	if err := sender(t, oldSecret, true).Send(t.Context(), url, "evt_1", time.Now(), nil); err != nil {
		t.Errorf("without the guard it is not reached either: %v", err)
	}
}

func TestNoneOfANamesAddressesIsReached(t *testing.T) {
	names(t, func(string) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fd00::1")}
	})
	port, connections := everywhere(t)
	f := failure(t, sender(t, oldSecret, false).Send(t.Context(), "http://many.example.com:"+port+"/", "evt_1", time.Now(), nil))
	if n := connections.Load(); n != 0 || !strings.Contains(f.Reason, "private address") {
		t.Errorf("%d connections, %v", n, f)
	}
}

// TestMain has a proxy in the environment, one that leads nowhere: package http reads it once a process.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		_ = os.Setenv(name, "http://127.0.0.1:1")
		_ = os.Setenv(strings.ToLower(name), "http://127.0.0.1:1")
	}
	_, _ = os.Unsetenv("NO_PROXY"), os.Unsetenv("no_proxy")
	os.Exit(m.Run())
}

func TestAProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	// The name must not look local: no proxy is ever asked for what does.
	names(t, func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	port, connections := everywhere(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example.com:"+port+"/", nil)
	if proxy, err := http.ProxyFromEnvironment(r); err != nil || proxy == nil {
		t.Fatalf("the environment has no proxy: %v", err)
	}
	err := sender(t, oldSecret, true).Send(t.Context(), r.URL.String(), "evt_1", time.Now(), nil)
	if err != nil || connections.Load() != 1 {
		t.Errorf("%d direct connections, %v", connections.Load(), err)
	}
}

func TestAPublicAddressIsTried(t *testing.T) {
	names(t, func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("93.184.215.14")} })
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing leaves this machine
	f := failure(t, sender(t, oldSecret, false).Send(ctx, "http://public.example.com/", "evt_1", time.Now(), nil))
	if strings.Contains(f.Reason, "private") {
		t.Errorf("taken for a private one: %v", f)
	}
}
