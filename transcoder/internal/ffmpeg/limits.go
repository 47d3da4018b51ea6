package ffmpeg

// DefaultMemory is address space for any upload on any machine. A 4K upload takes 5 GB of it and an 8K one nearly 8 where
// 64 cores have their threads; most is reserved and never used.
const DefaultMemory int64 = 8 << 30
