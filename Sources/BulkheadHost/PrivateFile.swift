import BulkheadCore
import Foundation

/// Small files in the state folder, readable by the supervisor's user alone and replaced as a whole.
enum PrivateFile {
    /// Reads a file; nil where there is none.
    static func read(_ path: String, limit: Int) throws(BulkheadError) -> [UInt8]? {
        do throws(SystemFailure) {
            let file = try OpenDescriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            if let bytes = try file.readAll(limit: limit) { return bytes }
        } catch {
            guard error.number != ENOENT else { return nil }
            throw BulkheadError(.storage, "\(path) cannot be read", cause: error.description)
        }
        throw BulkheadError(
            .storage,
            "\(path) is larger than \(Quantities.text(bytes: Int64(limit))), so we cannot have written it",
            advice: "move it away"
        )
    }

    /// Writes a new file, waits for the disk, and puts it in the old one's place, which the disk keeps too.
    static func replace(_ name: String, in folder: String, with bytes: [UInt8]) throws(BulkheadError) {
        let new = "\(folder)/.\(name).new"
        do throws(SystemFailure) {
            let file = try OpenDescriptor.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(bytes)
            try file.synchronize()
            try SystemFailure.checkErrno(unsafe rename(new, "\(folder)/\(name)"))
            try synchronize(folder)
        } catch {
            _ = unsafe unlink(new)
            throw BulkheadError(.storage, "\(folder)/\(name) cannot be written", cause: error.description)
        }
    }

    /// Removes a file for good; one that is not there is no error.
    static func remove(_ name: String, in folder: String) throws(BulkheadError) {
        do throws(SystemFailure) {
            guard unsafe unlink("\(folder)/\(name)") == 0 else {
                guard errno == ENOENT else { throw SystemFailure(errno) }
                return
            }
            try synchronize(folder)
        } catch {
            throw BulkheadError(.storage, "\(folder)/\(name) cannot be removed", cause: error.description)
        }
    }

    private static func synchronize(_ folder: String) throws(SystemFailure) {
        try OpenDescriptor.open(folder, O_RDONLY | O_DIRECTORY).synchronize()
    }
}
