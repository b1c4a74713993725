// Package segment keeps a log of events in files that are only appended to, so that
// a group of events costs one write and one flush. It knows of events no more than
// their positions and bytes.
//
// # Invariants
//
//   - Positions are dense: a group begins where the one before it ended, and so does
//     a segment. A gap is damage.
//   - A group is written by one write, and is flushed by Sync before the next one is
//     written. So a crash tears the last group alone, and behind a hole there are
//     remains of that group and of no other.
//   - A write that fails is taken back. After a flush that failed, or where taking
//     back failed, nothing is known, and the log takes nothing more.
//   - A file has its blocks before it is written to, where the file system can do that:
//     a full disk is met before a write, and not in its middle.
//   - What is given out matched its checksum. Damage is an error that names file and
//     offset.
//   - Where the end of the newest segment was damaged, Open puts back what Options.Spare
//     has of it, at the places where it was. It does that only where no event is
//     missing then.
//   - A new file is flushed, with its name, before anything is written behind its
//     header. So is the end of the one before it.
//
// # Files
//
// A segment is the file events-N.seg, N being the position of its first event, in
// 20 digits. Numbers are big-endian; checksums are CRC-32C, begun with the first
// four bytes of the file's mark.
//
//	header  magic8 mark8 first8 crc4
//	group   mark8 flags1 first8 count4 length4 crc4, and count events of length bytes
//	event   0xe5 note2 data4 crc4, the note, the data
//	footer  0xf7 count4, count times (position4 offset4), last8 end8 crc4 length4 magic8
//
// The mark is random and stays in the file, so that no event's data can look like a
// group. An event's checksum is over its position, too. The footer is written when
// the segment has its size: it says where every 32 KiB an event or a group begins,
// counted from the first position. Open reads footers, and of the last segment all.
//
// # Goroutines
//
// Append, Sync, Cut and Remove are for one goroutine; Read and Verify for any number, and
// a Cursor for one.
// There are no goroutines of its own.
package segment
