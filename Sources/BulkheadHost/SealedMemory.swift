import BulkheadCore
import CLinux
import Glibc

/// A file without a name whose content nobody can change any more: how a spec and a handler's stdin travel.
///
/// Its offset is 0, so that a handler reads it from the beginning to the end of file without a writer.
final class SealedMemory: TravellingDescriptor {
    /// Close-on-exec; closed with the object.
    let descriptor: Int32

    /// Makes a sealed file with this content.
    ///
    /// - Parameters:
    ///   - name: What /proc/PID/fd shows, at most 249 bytes.
    ///   - content: All of its bytes.
    /// - Throws: `BulkheadError` with code `host` when descriptors or memory are short.
    init(name: String, content: [UInt8]) throws(BulkheadError) {
        let made = unsafe clinux_memfd(name)
        guard made >= 0 else { throw .system("memfd_create", "no memory file for \(name)", errno: -made) }
        descriptor = made
        try Self.write(content, to: made, name: name)
        let sealed = clinux_seal(made)
        guard sealed >= 0 else { throw .system("fcntl", "cannot seal \(name)", errno: -sealed) }
    }

    deinit {
        close(descriptor)
    }

    /// Writes without moving the offset, which the receiver shares.
    private static func write(_ content: [UInt8], to descriptor: Int32, name: String) throws(BulkheadError) {
        var written = 0
        while written < content.count {
            let count = unsafe content.withUnsafeBytes { bytes in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[written...])
                return unsafe pwrite(descriptor, rest.baseAddress, rest.count, off_t(written))
            }
            let error = errno
            if count < 0 && error == EINTR { continue }
            guard count > 0 else { throw .system("pwrite", "cannot fill \(name)", errno: error) }
            written += count
        }
    }
}
