import CLinux
import Foundation

/// A file's name as it is on the disk, which need not be UTF-8.
struct FileName: Hashable, CustomStringConvertible {
    /// Ends in a NUL.
    let bytes: [CChar]

    init(_ text: String) {
        bytes = text.utf8.map(CChar.init(bitPattern:)) + [0]
    }

    fileprivate init(_ text: UnsafeRawPointer) {
        let start = unsafe text.assumingMemoryBound(to: CChar.self)
        bytes = unsafe Array(UnsafeBufferPointer(start: start, count: strlen(start) + 1))
    }

    var description: String {
        String(decoding: bytes.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Removes it from a folder: 0, or the errno.
    func unlink(in folder: Int32, _ flags: Int32 = 0) -> Int32 {
        unsafe unlinkat(folder, bytes, flags) == 0 ? 0 : errno
    }

    /// Moves it into another folder: 0, or the errno.
    func move(from folder: Int32, to other: Int32, as name: FileName) -> Int32 {
        unsafe renameat(folder, bytes, other, name.bytes) == 0 ? 0 : errno
    }
}

/// The names in a folder, one after the other, however many there are.
@safe struct FolderEntries: ~Copyable {
    private static let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 19

    /// Open until the end of this value, which alone has it.
    private let stream: OpaquePointer

    /// Begins at the folder's first entry.
    init(of folder: Int32) throws(SystemFailure) {
        let number = clinux_fcntl(folder, F_DUPFD_CLOEXEC, 0)
        try SystemFailure.check(number)
        guard let stream = unsafe fdopendir(number) else {
            let failure = SystemFailure(errno)
            close(number)
            throw failure
        }
        unsafe rewinddir(stream)
        unsafe self.stream = stream
    }

    deinit {
        unsafe closedir(stream)
    }

    /// The next name but `.` and `..`; nil at the end.
    mutating func next() -> FileName? {
        while let entry = unsafe readdir(stream) {
            // By address, since a copy of the whole structure would read beyond a short entry's end.
            let name = unsafe FileName(UnsafeRawPointer(entry).advanced(by: Self.nameOffset))
            if name.bytes != [46, 0], name.bytes != [46, 46, 0] { return name }
        }
        return nil
    }
}
