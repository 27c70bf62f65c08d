import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

/// A service manager's socket, as far as a test needs one.
private final class NotifySocket {
    private let socket: OpenDescriptor

    /// Binds it to a path, or to an abstract name that begins with @.
    init(_ address: String) throws {
        let number = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        try SystemFailure.checkErrno(number)
        socket = OpenDescriptor(owning: number)
        var name = Array(address.utf8)
        if name[0] == UInt8(ascii: "@") { name[0] = 0 } else { name.append(0) }
        let family = unsafe withUnsafeBytes(of: sa_family_t(AF_UNIX)) { unsafe Array($0) }
        let bound = unsafe (family + name).withUnsafeBytes { bytes in
            unsafe bind(
                number,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(bytes.count)
            )
        }
        try SystemFailure.checkErrno(bound)
    }

    /// The next message that lies there.
    func message() throws -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe recv(socket.number, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        try SystemFailure.checkErrno(Int32(count))
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}

@Suite("ServiceNotification")
struct ServiceNotificationTests {
    private func notification(_ environment: [String: String]) throws -> ServiceNotification? {
        try ServiceNotification(environment: environment, pid: 77)
    }

    @Test("each message arrives as the lines that a service manager reads")
    func messages() throws {
        let folder = try HostFolder()
        let manager = try NotifySocket(folder("notify"))
        let service = try #require(try notification(["NOTIFY_SOCKET": folder("notify")]))
        try service.send(.starting("two\nlines", within: .seconds(60)))
        #expect(try manager.message() == "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=two lines")
        try service.send(.ready("at work"))
        #expect(try manager.message() == "READY=1\nSTATUS=at work")
        try service.send(.alive)
        #expect(try manager.message() == "WATCHDOG=1")
        try service.send(.stopping("the end"))
        #expect(try manager.message() == "STOPPING=1\nSTATUS=the end")
    }

    @Test("a reload is told with the time at which it began")
    func reloading() throws {
        let folder = try HostFolder()
        let manager = try NotifySocket(folder("notify"))
        let service = try #require(try notification(["NOTIFY_SOCKET": folder("notify")]))
        try service.send(.reloading)
        let first = try manager.message()
        try service.send(.reloading)
        let second = try manager.message()
        let times = [first, second].map { text in
            let lines = text.split(separator: "\n")
            #expect(lines.count == 2 && lines.first == "RELOADING=1")
            return UInt64((lines.last ?? "").dropFirst("MONOTONIC_USEC=".count)) ?? 0
        }
        #expect(times[0] > 0 && times[0] <= times[1])
        #expect(
            ServiceNotification.text(.reloading, monotonic: 12) == "RELOADING=1\nMONOTONIC_USEC=12"
        )
    }

    @Test("a name that begins with @ is an abstract one")
    func abstract() throws {
        let name = "@bulkhead-test-\(UInt64.random(in: 0 ... .max))"
        let manager = try NotifySocket(name)
        let service = try #require(try notification(["NOTIFY_SOCKET": name]))
        try service.send(.alive)
        #expect(try manager.message() == "WATCHDOG=1")
    }

    @Test("without a service manager there is nobody to notify")
    func nobody() throws {
        #expect(try notification([:]) == nil)
        #expect(try notification(["NOTIFY_SOCKET": ""]) == nil)
        #expect(try notification(["WATCHDOG_USEC": "1000000"]) == nil)
    }

    @Test("a manager that has gone is an error that can be told")
    func gone() throws {
        let folder = try HostFolder()
        let service = try #require(try notification(["NOTIFY_SOCKET": folder("nobody")]))
        let error = refusal { () throws(BulkheadError) in try service.send(.alive) }
        #expect(error?.code == .host && error?.cause == SystemFailure(ENOENT).description)
    }

    @Test("an address that is no socket's is refused", arguments: ["notify", "@", "/", "vsock:2:1234"])
    func addresses(_ address: String) throws {
        let error = refusal { () throws(BulkheadError) in
            try ServiceNotification(environment: ["NOTIFY_SOCKET": address], pid: 77)
        }
        #expect(error?.code == .invalidSetting && error?.message.contains(address) == true)
    }

    @Test("the longest name is taken, one byte more is refused")
    func lengths() throws {
        let longest = "/" + String(repeating: "n", count: 106)
        #expect(try notification(["NOTIFY_SOCKET": longest]) != nil)
        let error = refusal { () throws(BulkheadError) in
            try ServiceNotification(environment: ["NOTIFY_SOCKET": longest + "n"], pid: 77)
        }
        #expect(error?.code == .invalidSetting)
    }

    @Test("the watchdog's time is taken, unless it is meant for another process or is none")
    func watchdog() throws {
        func time(_ more: [String: String]) throws -> Duration? {
            try notification(["NOTIFY_SOCKET": "/x"].merging(more) { $1 })?.watchdog
        }
        #expect(try time([:]) == nil)
        #expect(try time(["WATCHDOG_USEC": "30000000"]) == .seconds(30))
        #expect(try time(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"]) == .seconds(30))
        #expect(try time(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"]) == nil)
        for text in ["0", "-1", "soon"] {
            let error = refusal { () throws(BulkheadError) in
                try ServiceNotification(environment: ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": text], pid: 77)
            }
            #expect(error?.code == .invalidSetting)
        }
    }
}
