public import BulkheadCore
import Foundation

/// The host's users and groups, by name and by number.
///
/// Only the supervisor asks: a launcher is a static program, which has no name service.
public enum UserDirectory {
    /// A user as the host knows it.
    public struct User: Sendable, Equatable {
        /// Login name.
        public var name: String
        /// User id.
        public var uid: UInt32
        /// Id of its main group.
        public var gid: UInt32
    }

    /// Looks a user up by name.
    /// - Parameter name: The login name; numbers are not taken for ids.
    /// - Returns: The user.
    /// - Throws: ``BulkheadError`` with the code `host`: there is no such user, or the lookup failed.
    public static func user(named name: String) throws(BulkheadError) -> User {
        let (found, failure) = unsafe userEntry { entry, buffer, size, result in
            unsafe getpwnam_r(name, entry, buffer, size, result)
        }
        if let found { return found }
        guard failure == 0 else { throw lookupFailed("user", name, failure) }
        throw BulkheadError(
            .host,
            "there is no user \"\(name)\" on this host",
            advice: "add it with useradd --system \(ShellWord.quote(name)), or name another"
        )
    }

    /// Looks a user up by number; nil where the host has none.
    public static func user(numbered uid: UInt32) -> User? {
        unsafe userEntry { entry, buffer, size, result in unsafe getpwuid_r(uid, entry, buffer, size, result)
        }.0
    }

    /// Looks a group up by name.
    /// - Parameter name: The group's name.
    /// - Returns: The group's id.
    /// - Throws: ``BulkheadError`` with the code `host`: there is no such group, or the lookup failed.
    public static func group(named name: String) throws(BulkheadError) -> UInt32 {
        let (found, failure) = unsafe groupEntry { entry, buffer, size, result in
            unsafe getgrnam_r(name, entry, buffer, size, result)
        }
        if let found { return found.gid }
        guard failure == 0 else { throw lookupFailed("group", name, failure) }
        throw BulkheadError(
            .host,
            "there is no group \"\(name)\" on this host",
            advice: "add it with groupadd --system \(ShellWord.quote(name)), or name another"
        )
    }

    /// Names a group; nil where the host has none of this number.
    public static func groupName(_ gid: UInt32) -> String? {
        unsafe groupEntry { entry, buffer, size, result in unsafe getgrgid_r(gid, entry, buffer, size, result)
        }.0?.name
    }

    /// Names a user for a message: `"alice"`, or `4711` where the host has no name for it.
    static func describe(user uid: UInt32) -> String {
        user(numbered: uid).map { "\"\($0.name)\"" } ?? "\(uid)"
    }

    /// Names a group for a message, likewise.
    static func describe(group gid: UInt32) -> String {
        groupName(gid).map { "\"\($0)\"" } ?? "\(gid)"
    }

    private static func lookupFailed(_ kind: String, _ name: String, _ failure: Int32) -> BulkheadError {
        BulkheadError(
            .host,
            "the \(kind) \"\(name)\" could not be looked up",
            cause: SystemFailure(failure).description
        )
    }

    private typealias UserLookup = (
        UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
        UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
    ) -> Int32
    private typealias GroupLookup = (
        UnsafeMutablePointer<group>, UnsafeMutablePointer<CChar>, Int,
        UnsafeMutablePointer<UnsafeMutablePointer<group>?>
    ) -> Int32

    private static func userEntry(_ lookUp: UserLookup) -> (User?, Int32) {
        unsafe growing { buffer, size in
            var entry = unsafe passwd()
            var result: UnsafeMutablePointer<passwd>?
            let failure = unsafe lookUp(&entry, buffer, size, &result)
            guard failure == 0, unsafe result != nil, let name = unsafe entry.pw_name else {
                return (nil, failure)
            }
            return unsafe (User(name: String(cString: name), uid: entry.pw_uid, gid: entry.pw_gid), 0)
        }
    }

    private static func groupEntry(_ lookUp: GroupLookup) -> ((name: String, gid: UInt32)?, Int32) {
        unsafe growing { buffer, size in
            var entry = unsafe Glibc.group()
            var result: UnsafeMutablePointer<Glibc.group>?
            let failure = unsafe lookUp(&entry, buffer, size, &result)
            guard failure == 0, unsafe result != nil, let name = unsafe entry.gr_name else {
                return (nil, failure)
            }
            return unsafe ((String(cString: name), entry.gr_gid), 0)
        }
    }

    /// Calls again with a larger buffer as long as the answer does not fit, up to 1 MiB.
    private static func growing<Found>(
        _ body: (UnsafeMutablePointer<CChar>, Int) -> (Found?, Int32)
    ) -> (Found?, Int32) {
        var size = 4 << 10
        while true {
            let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
            defer { unsafe buffer.deallocate() }
            let answer = unsafe body(buffer, size)
            // Some name services answer ENOENT and the like for a name that simply is not there.
            switch answer.1 {
            case ERANGE where size < 1 << 20: size *= 4
            case ENOENT, ESRCH, EBADF, EPERM: return (nil, 0)
            default: return answer
            }
        }
    }
}

/// A word as a shell takes it, for commands in advice.
enum ShellWord {
    static func quote(_ word: String) -> String {
        let plain = word.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            case UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
            case UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "@"): true
            default: false
            }
        }
        guard !plain || word.isEmpty else { return word }
        return "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
