import BulkheadCore
import CLinux
import Foundation
import Glibc
import Testing

/// Bytes over a Unix socket that need not be HTTP, as broken, slow and hostile clients send them.
struct RawHTTP: Sendable {
    let socket: String

    /// The head of a request that the connection does not outlive.
    static func head(_ method: String, _ path: String, _ fields: String...) -> String {
        let lines = ["\(method) \(path) HTTP/1.1", "Host: bulkhead", "Connection: close"] + fields
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// A POST with this text as its body.
    static func post(_ path: String, _ body: String) -> [UInt8] {
        Array((head("POST", path, "Content-Length: \(body.utf8.count)") + body).utf8)
    }

    /// Sends bytes and the end of input, and reads answers until the server closes.
    func callAsFunction(_ bytes: [UInt8]) async throws -> [APICall.Answer] {
        try await exchange { descriptor in
            if Self.send(bytes, to: descriptor) { shutdown(descriptor, Int32(SHUT_WR)) }
        }
    }

    /// Sends a head and a piece of the body again and again, until all is sent or an answer comes; who is stubborn
    /// goes on even then, until the server closes.
    func flood(
        _ head: String,
        _ piece: [UInt8],
        times: Int,
        isStubborn: Bool
    ) async throws -> [APICall.Answer] {
        try await exchange { descriptor in
            guard Self.send(Array(head.utf8), to: descriptor) else { return }
            var rest = piece[...]
            var left = times
            while left > 0, isStubborn || !Self.isAnswered(descriptor) {
                let count = Self.send(rest, to: descriptor, flags: isStubborn ? 0 : Int32(MSG_DONTWAIT))
                guard count > 0 || !isStubborn && errno == EAGAIN else { break }
                rest = rest.dropFirst(max(0, count))
                guard rest.isEmpty else { continue }
                rest = piece[...]
                left -= 1
            }
            shutdown(descriptor, Int32(isStubborn ? SHUT_WR : SHUT_RDWR))
        }
    }

    /// A server may answer and close before it has read all, so what cannot be sent any more is no error.
    private func exchange(_ write: @escaping @Sendable (Int32) -> Void) async throws -> [APICall.Answer] {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                let answers = Result {
                    let call = APICall(socket: socket)
                    let descriptor = try call.connected()
                    defer { close(descriptor) }
                    write(descriptor)
                    return try Self.answers(call.readToEnd(descriptor)[...])
                }
                continuation.resume(with: answers)
            }
        }
    }

    /// Waits until there is room to send or something to read, and tells which.
    private static func isAnswered(_ descriptor: Int32) -> Bool {
        var polls = [pollfd(fd: descriptor, events: Int16(POLLIN | POLLOUT), revents: 0)]
        return unsafe poll(&polls, 1, 30_000) > 0 && polls[0].revents & Int16(POLLIN) != 0
    }

    private static func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = send(rest, to: descriptor, flags: 0)
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32, flags: Int32) -> Int {
        unsafe bytes.withUnsafeBytes {
            unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | flags)
        }
    }

    /// Answers one behind the other, each with its length.
    private static func answers(_ bytes: ArraySlice<UInt8>) throws -> [APICall.Answer] {
        var rest = bytes
        var answers: [APICall.Answer] = []
        while !rest.isEmpty {
            let end = try #require(rest.firstRange(of: Array("\r\n\r\n".utf8)), "an answer is cut")
            let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
            let status = try #require(head.split(separator: " ").dropFirst().first.flatMap { Int($0) })
            let length = try #require(head.lowercased().firstMatch(of: /content-length: (\d+)/)?.1)
            let body = rest[end.upperBound...].prefix(try #require(Int(length)))
            answers.append(APICall.Answer(status: status, head: head, body: Array(body)))
            rest = rest[body.endIndex...]
        }
        return answers
    }
}

extension Workbench {
    /// Sends the API what need not be HTTP.
    var raw: RawHTTP { RawHTTP(socket: socket) }
}

extension APICall.Answer {
    /// Checks that this is a problem as RFC 9457 has it, with these words, and with what to do about it.
    func expectProblem(
        _ status: Int,
        _ kind: String,
        _ words: String,
        advice: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(self.status == status, "\(text)", sourceLocation: sourceLocation)
        #expect(
            head.lowercased().contains("content-type: application/problem+json"),
            sourceLocation: sourceLocation
        )
        #expect(json.text("type") == "urn:bulkhead:problem:" + kind, sourceLocation: sourceLocation)
        #expect(json["status"]?.integer == Int64(status), sourceLocation: sourceLocation)
        #expect(!json.text("title").isEmpty, sourceLocation: sourceLocation)
        #expect(
            json.text("detail").contains(words),
            "\(json.text("detail")) lacks: \(words)",
            sourceLocation: sourceLocation
        )
        #expect(
            !json.text("advice").isEmpty && (advice.isEmpty || json.text("advice").contains(advice)),
            "\(json.text("advice")) lacks: \(advice)",
            sourceLocation: sourceLocation
        )
    }
}

/// A server of somebody else's, that takes connections and says nothing.
final class ForeignServer: Sendable {
    private let descriptor: Int32

    init(at path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
        descriptor = Glibc.socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
            0
        )
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(descriptor, 8) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    }

    deinit { close(descriptor) }
}
