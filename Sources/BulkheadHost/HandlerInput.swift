public import BulkheadCore
import Glibc

/// A handler's stdin: all of it at once, in a file without a name that nobody can change, so that a reader meets the
/// end of file without a writer.
public final class HandlerInput: Sendable {
    let memory: SealedMemory

    /// Makes an input.
    /// - Parameter bytes: All of it.
    /// - Throws: ``BulkheadError`` with the code `host` when descriptors or memory are short.
    public init(_ bytes: [UInt8]) throws(BulkheadError) {
        memory = try SealedMemory(name: "bulkhead-stdin", content: bytes)
        // Any read moves it on from there, also one through /dev/stdin, which has an offset of its own.
        let never = timespec(tv_sec: 0, tv_nsec: 0)
        let unchanged = timespec(tv_sec: 0, tv_nsec: Linux.omitTime)
        _ = unsafe futimens(memory.descriptor, [never, unchanged])
    }

    /// Whether somebody has read from it.
    public var wasRead: Bool {
        var status = stat()
        guard unsafe fstat(memory.descriptor, &status) == 0 else { return false }
        return status.st_atim.tv_sec != 0 || lseek(memory.descriptor, 0, SEEK_CUR) > 0
    }
}
