// Package badnetwork is a relay in front of a server that breaks connections when it is told to. It is for trying
// clients out.
package badnetwork

import (
	"net"
	"sync"
	"time"
)

// What the server says passes in small pieces, with a pause after each: however fast it is, there is time to break the
// connection before its last word has passed.
const (
	piece = 100
	pause = 4 * time.Millisecond
)

// Network listens on Address, and passes everything on until it is told otherwise.
type Network struct {
	Address string
	server  string

	lock   sync.Mutex
	breaks int
	// How many bytes of the server's are yet to get lost before the connection breaks; 0 while it is well.
	toLose int
}

// InFrontOf makes a network that leads to a server.
func InFrontOf(server string) (*Network, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	network := &Network{Address: listener.Addr().String(), server: server}
	go network.accept(listener)
	return network, nil
}

// BreakOff breaks a connection, once: the next `lost` bytes that the server says get lost, and all after them.
func (n *Network) BreakOff(lost int) {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.toLose = lost
}

// Breaks says how often a connection broke.
func (n *Network) Breaks() int {
	n.lock.Lock()
	defer n.lock.Unlock()
	return n.breaks
}

func (n *Network) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", n.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		go passOn(client, server, func(int) (bool, bool) { return false, false })
		go passOn(server, client, n.fate)
	}
}

// passOn copies until either end is closed, and then closes both.
func passOn(source, target net.Conn, fate func(int) (lost, broken bool)) {
	defer func() { _, _ = source.Close(), target.Close() }()
	data := make([]byte, piece)
	for {
		length, err := source.Read(data)
		if err != nil {
			return
		}
		lost, broken := fate(length)
		if !lost {
			if _, err := target.Write(data[:length]); err != nil {
				return
			}
		}
		if broken {
			return
		}
	}
}

// fate says whether so many bytes of the server's get lost, and whether the connection breaks with them.
func (n *Network) fate(length int) (lost, broken bool) {
	time.Sleep(pause)
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.toLose == 0 {
		return false, false
	}
	n.toLose = max(0, n.toLose-length)
	if n.toLose == 0 {
		n.breaks++
		return true, true
	}
	return true, false
}
