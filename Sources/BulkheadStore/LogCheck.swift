import Foundation

/// Looks whether SQLite's log is whole, before SQLite does.
///
/// SQLite takes the first frame that is wrong for the end of the log, as a crash leaves it, and goes on without
/// a word: right for a write that was cut short, and wrong for a bit that has turned, since then transactions
/// are gone that were acknowledged. The two can be told apart: a transaction's frames are on the disk before the
/// next transaction writes any, so a wrong frame with a later transaction's frame behind it was right once.
/// (Form of the file: https://www.sqlite.org/fileformat2.html#walformat.)
enum LogCheck {
    /// Bytes before the first frame.
    static let headerBytes = 32
    private static let frameHeaderBytes = 24
    /// The magic number, whose lowest bit says that checksums are big-endian.
    private static let magic: UInt32 = 0x377f_0682

    /// Says what is wrong with a log.
    /// - Parameter log: The whole file.
    /// - Returns: What is wrong; nil for a log that is whole, or that a crash has cut short.
    static func damage(in log: Data) -> String? {
        guard log.count >= headerBytes else { return nil }
        let bytes = [UInt8](log)[...]
        guard let header = Header(bytes) else {
            // A header that was never written is nothing but zeros.
            return bytes[..<headerBytes].allSatisfy { $0 == 0 } ? nil : "the header of its log is damaged"
        }
        return damage(behind: header, bytes)
    }

    private static func damage(behind header: Header, _ bytes: ArraySlice<UInt8>) -> String? {
        let frameBytes = frameHeaderBytes + header.pageBytes
        let frames = (bytes.count - headerBytes) / frameBytes
        var sum = header.checksum
        var whole = 0
        while whole < frames {
            let frame = Frame(bytes, number: whole, header)
            guard frame.hasSalts(of: header), frame.checksum(after: sum, header) == frame.checksum else {
                break
            }
            sum = frame.checksum
            whole += 1
        }
        // Behind the first wrong frame: what belongs to this life of the log has its salts. A frame of an earlier
        // life has others, and one whose salts are damaged is itself the wrong one.
        var transactionEnded = false
        for number in whole..<max(frames, whole) {
            let frame = Frame(bytes, number: number, header)
            guard frame.hasSalts(of: header) else { continue }
            if transactionEnded { return "frame \(whole + 1) of its log is damaged" }
            if frame.endsTransaction { transactionEnded = true }
        }
        return nil
    }

    /// The header that a log had before somebody began to write over it.
    ///
    /// A log begins anew with a header whose number is one higher, once all that the old one holds is in the main file.
    /// Where that write was cut short, what lies there is neither; the old frames prove the old header, and with it
    /// nothing changes but that they are written into the main file once more.
    /// - Parameter log: The whole file.
    /// - Returns: The header, with which the first frame is right; nil where it needs none, or none can be proved.
    static func mendedHeader(of log: Data) -> Data? {
        let bytes = [UInt8](log)[...]
        guard bytes.count >= headerBytes + frameHeaderBytes, Header(bytes) == nil else { return nil }
        let number = bytes.word(12)
        for candidate in [number, number &- 1] {
            var header = bytes[..<12] + candidate.bytes + bytes[(headerBytes + 8)..<(headerBytes + 16)]
            let sum = sum(header[...], after: (0, 0), bytes.word(0) & 1 == 1)
            header += sum.0.bytes + sum.1.bytes
            guard let whole = Header(header), bytes.count >= headerBytes + frameHeaderBytes + whole.pageBytes
            else { continue }
            let first = Frame(bytes, number: 0, whole)
            if first.checksum(after: sum, whole) == first.checksum { return Data(header) }
        }
        return nil
    }

    /// What stands before the frames.
    private struct Header {
        var isBigEndian: Bool
        var pageBytes: Int
        var salts: (UInt32, UInt32)
        var checksum: (UInt32, UInt32)

        init?(_ bytes: ArraySlice<UInt8>) {
            let magic = bytes.word(0)
            let pageBytes = Int(bytes.word(8))
            isBigEndian = magic & 1 == 1
            guard magic & ~1 == LogCheck.magic, pageBytes >= 512, pageBytes <= 65_536,
                pageBytes & (pageBytes - 1) == 0
            else { return nil }
            self.pageBytes = pageBytes
            salts = (bytes.word(16), bytes.word(20))
            checksum = (bytes.word(24), bytes.word(28))
            guard LogCheck.sum(bytes[..<24], after: (0, 0), isBigEndian) == checksum else { return nil }
        }
    }

    private struct Frame {
        private let bytes: ArraySlice<UInt8>

        init(_ log: ArraySlice<UInt8>, number: Int, _ header: Header) {
            let start = LogCheck.headerBytes + number * (LogCheck.frameHeaderBytes + header.pageBytes)
            bytes = log[start..<(start + LogCheck.frameHeaderBytes + header.pageBytes)]
        }

        var endsTransaction: Bool { bytes.word(4) != 0 }
        var checksum: (UInt32, UInt32) { (bytes.word(16), bytes.word(20)) }

        func hasSalts(of header: Header) -> Bool { (bytes.word(8), bytes.word(12)) == header.salts }

        func checksum(after sum: (UInt32, UInt32), _ header: Header) -> (UInt32, UInt32) {
            let start = bytes.startIndex
            let first = LogCheck.sum(bytes[start..<(start + 8)], after: sum, header.isBigEndian)
            return LogCheck.sum(
                bytes[(start + LogCheck.frameHeaderBytes)...],
                after: first,
                header.isBigEndian
            )
        }
    }

    /// SQLite's running checksum over pairs of words.
    private static func sum(
        _ bytes: ArraySlice<UInt8>,
        after sum: (UInt32, UInt32),
        _ isBigEndian: Bool
    ) -> (UInt32, UInt32) {
        var (first, second) = sum
        var index = bytes.startIndex
        while index + 8 <= bytes.endIndex {
            let one = bytes.word(at: index)
            let two = bytes.word(at: index + 4)
            first &+= (isBigEndian ? one : one.byteSwapped) &+ second
            second &+= (isBigEndian ? two : two.byteSwapped) &+ first
            index += 8
        }
        return (first, second)
    }
}

extension UInt32 {
    /// The big-endian bytes.
    fileprivate var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: self >> (24 - 8 * $0)) } }
}

extension ArraySlice<UInt8> {
    /// The big-endian word at an offset from the slice's beginning.
    fileprivate func word(_ offset: Int) -> UInt32 { word(at: startIndex + offset) }

    /// The big-endian word at an index.
    fileprivate func word(at index: Int) -> UInt32 {
        UInt32(self[index]) << 24 | UInt32(self[index + 1]) << 16 | UInt32(self[index + 2]) << 8
            | UInt32(self[index + 3])
    }
}
