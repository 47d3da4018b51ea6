package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"
)

const (
	// fetchesAtOnce keeps the link to the bucket busy. Fetched blocks are in memory until they are on the disk, so that is
	// bounded as well: to 64 MiB.
	fetchesAtOnce = 16
	// spareBlocks stay in memory when the disk takes none: where a few demuxers read, another 64 MiB. Besides them a reader
	// keeps the block that it is in, so that one that goes straight on fetches each block once even without a disk.
	spareBlocks = 16
	// diskPause is how long a disk that refused a block is asked for no more space, and nothing is said of it.
	diskPause = time.Minute
)

var errEnded = errors.New("the server of uploads has ended")

// Scratch is disk space for blocks. What is taken is seen by df, but not by ls: see [cache].
type Scratch struct {
	// Dir is the folder, made if it is not there; any number of processes may share it. Empty is the system's temporary one.
	Dir string
	// Bytes is how much is taken at most: one block (4 MiB) or more.
	Bytes int64
}

// blockID names a block: two uploads of one version of an object have the same blocks.
type blockID struct {
	key, etag string
	number    int64
}

// cache keeps blocks in one file on the scratch disk, divided into slots of a block each: a bound that needs no counting.
// The file has no name from the start, so that the kernel removes it with the process, however that ends, and no other
// process can come upon it.
//
// A slot that is read is never written: only blocks that nobody reads are idle, and only idle ones give up their slots.
// Where no slot is to be had (all are being read, or the disk is full or broken) a block is kept in memory.
type cache struct {
	log     *slog.Logger
	fetch   func(context.Context, blockID, int64) ([]byte, error)
	file    *os.File
	fetches *semaphore.Weighted
	loads   sync.WaitGroup

	mu     sync.Mutex
	ended  bool
	blocks map[blockID]*block              // those that are being fetched, read, idle or spare
	idle   *simplelru.LRU[blockID, *block] // in slots, read by nobody
	spare  *simplelru.LRU[blockID, *block] // in memory, read by nobody
	free   []int64                         // slots that hold nothing
	full   time.Time                       // when the disk last refused a block
	broken bool                            // the disk lost what was written to it: it is used no more
}

// block is a part of a version of an object. It is fetched once, however many want it, and as long as one does.
type block struct {
	id     blockID
	size   int64
	cancel context.CancelFunc // of its fetch

	loaded chan struct{} // closed when the next three are set
	err    error
	data   []byte // nil if it is in its slot
	slot   int64

	readers int  // and those who wait to read; guarded by the cache's mutex
	done    bool // loaded is closed; guarded by it, too
}

const noSlot int64 = -1

func newCache(
	scratch Scratch, fetch func(context.Context, blockID, int64) ([]byte, error), log *slog.Logger,
) (*cache, error) {
	slots := scratch.Bytes / blockSize
	if slots < 1 {
		return nil, fmt.Errorf("%d bytes of scratch disk hold no block: give at least %d", scratch.Bytes, blockSize)
	}
	idle, err := simplelru.NewLRU[blockID, *block](int(slots), nil)
	if err != nil {
		return nil, err
	}
	spare, err := simplelru.NewLRU[blockID, *block](spareBlocks, nil)
	if err != nil {
		return nil, err
	}
	file, err := openUnnamed(scratch.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the scratch disk: %w", err)
	}
	c := &cache{
		log: log, fetch: fetch, file: file, fetches: semaphore.NewWeighted(fetchesAtOnce),
		blocks: map[blockID]*block{}, idle: idle, spare: spare,
	}
	for slot := slots - 1; slot >= 0; slot-- {
		c.free = append(c.free, slot)
	}
	return c, nil
}

// openUnnamed opens an empty file whose space is given back when it is closed.
func openUnnamed(dir string) (*os.File, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(dir, "weir-blocks-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// end ends all fetches and gives the disk space back. Nothing can be acquired after it.
func (c *cache) end() error {
	c.mu.Lock()
	c.ended = true
	for _, b := range c.blocks {
		b.cancel()
	}
	c.mu.Unlock()
	c.loads.Wait()
	return c.file.Close()
}

func (c *cache) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// acquire returns a block for reading, which the caller must release. It is fetched if need be; the context is that of the
// caller's wait alone.
func (c *cache) acquire(ctx context.Context, id blockID, size int64) (*block, error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil, errEnded
	}
	b := c.blocks[id]
	if b == nil {
		load, cancel := context.WithCancel(context.WithoutCancel(ctx))
		b = &block{id: id, size: size, cancel: cancel, loaded: make(chan struct{})}
		c.blocks[id] = b
		c.loads.Go(func() { c.load(load, b) })
	}
	c.idle.Remove(id)
	c.spare.Remove(id)
	b.readers++
	c.mu.Unlock()

	select {
	case <-b.loaded:
		if b.err != nil {
			c.release(b)
			return nil, b.err
		}
		return b, nil
	case <-ctx.Done():
		c.release(b)
		return nil, ctx.Err()
	}
}

// release ends the reading of a block, or the wait for it. A fetch that nobody waits for is ended.
func (c *cache) release(b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.readers--
	switch {
	case b.readers > 0, c.blocks[b.id] != b: // the latter failed, or was lost
	case !b.done:
		delete(c.blocks, b.id)
		b.cancel()
	case b.slot != noSlot:
		c.idle.Add(b.id, b)
	default:
		if c.spare.Len() == spareBlocks {
			if id, _, ok := c.spare.RemoveOldest(); ok {
				delete(c.blocks, id)
			}
		}
		c.spare.Add(b.id, b)
	}
}

// load fetches a block and puts it on the disk, or keeps it in memory.
func (c *cache) load(ctx context.Context, b *block) {
	defer b.cancel()
	var data []byte
	slot := noSlot
	err := c.fetches.Acquire(ctx, 1)
	if err == nil {
		defer c.fetches.Release(1)
		if data, err = c.fetch(ctx, b.id, b.size); err == nil {
			slot = c.write(data)
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	b.err, b.slot, b.done = err, slot, true
	if slot == noSlot {
		b.data = data
	}
	close(b.loaded)
	switch {
	case c.blocks[b.id] != b: // nobody waits for it any more
		if slot != noSlot {
			c.free = append(c.free, slot)
		}
	case err != nil:
		delete(c.blocks, b.id)
	}
}

// write puts data into a slot and returns which; noSlot if there is none to be had.
func (c *cache) write(data []byte) int64 {
	slot := c.take()
	if slot == noSlot {
		return noSlot
	}
	_, err := c.file.WriteAt(data, slot*blockSize)
	if err == nil {
		return slot
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, slot)
	if time.Since(c.full) > diskPause {
		c.log.Warn("the scratch disk refused a block, which is kept in memory", "error", err)
		c.full = time.Now()
	}
	return noSlot
}

// take returns a slot to write to: one that holds nothing, or that of the block that was not read for the longest time. A
// full disk has the slots that it has: only those are used then.
func (c *cache) take() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return noSlot
	}
	if last := len(c.free) - 1; last >= 0 && time.Since(c.full) > diskPause {
		slot := c.free[last]
		c.free = c.free[:last]
		return slot
	}
	if id, b, ok := c.idle.RemoveOldest(); ok {
		delete(c.blocks, id)
		return b.slot
	}
	return noSlot
}

// read copies from a block that was acquired and not yet released. It tells whether it could; if not, the block is lost and
// has to be acquired anew.
func (c *cache) read(b *block, p []byte, at int64) bool {
	if b.slot == noSlot {
		copy(p, b.data[at:])
		return true
	}
	_, err := c.file.ReadAt(p, b.slot*blockSize+at)
	if err == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	if !c.broken {
		c.log.Error("the scratch disk lost a block; it is used no more until the transcoder starts again", "error", err)
		c.broken = true
		for _, id := range c.idle.Keys() {
			delete(c.blocks, id)
		}
		c.idle.Purge()
	}
	if c.blocks[b.id] == b {
		delete(c.blocks, b.id)
	}
	return false
}
