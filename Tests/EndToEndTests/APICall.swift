import BulkheadCore
import Foundation
import Glibc
import Testing

/// One HTTP call over a Unix socket, as a controller makes it.
struct APICall: Sendable {
    struct Answer: Sendable {
        var status: Int
        var head: String
        var body: [UInt8]

        /// The body as JSON; null where it is none.
        var json: JSONValue { (try? JSONParser.parse(body)) ?? .null }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    let socket: String

    /// Makes the call and reads the answer to its end.
    func callAsFunction(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        accept: String = "application/json"
    ) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try exchange(method, path, body?.bytes ?? [], accept) })
            }
        }
    }

    private func exchange(
        _ method: String,
        _ path: String,
        _ body: [UInt8],
        _ accept: String
    ) throws -> Answer {
        let descriptor = try connected()
        defer { close(descriptor) }
        var request = Array("\(method) \(path) HTTP/1.1\r\nHost: bulkhead\r\nAccept: \(accept)\r\n".utf8)
        request += Array("Content-Length: \(body.count)\r\nConnection: close\r\n\r\n".utf8) + body
        var rest = request[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
            rest = rest.dropFirst(count)
        }
        return try Self.answer(readToEnd(descriptor))
    }

    func connected() throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socket.utf8)
        try #require(path.count < MemoryLayout.size(ofValue: address.sun_path), "the path is too long")
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, length)
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw POSIXError(.init(rawValue: code) ?? .EIO)
        }
        return descriptor
    }

    func readToEnd(_ descriptor: Int32) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    private static func answer(_ bytes: [UInt8]) throws -> Answer {
        // Where the supervisor may be killed meanwhile, an answer that is cut short is no finding of the test.
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { throw POSIXError(.ECONNRESET) }
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        let status = try #require(head.split(separator: " ").dropFirst().first.flatMap { Int($0) })
        let body = Array(bytes[end.upperBound...])
        let isChunked = head.lowercased().contains("transfer-encoding: chunked")
        return Answer(status: status, head: head, body: isChunked ? try joined(body[...]) : body)
    }

    /// The content of a chunked body (RFC 9112, 7.1).
    private static func joined(_ body: ArraySlice<UInt8>) throws -> [UInt8] {
        var rest = body
        var content: [UInt8] = []
        while true {
            let end = try #require(rest.firstRange(of: Array("\r\n".utf8)), "a chunk is cut")
            let length = try #require(
                Int(String(decoding: rest[..<end.lowerBound], as: UTF8.self), radix: 16)
            )
            guard length > 0 else { return content }
            content += rest[end.upperBound..<(end.upperBound + length)]
            rest = rest[(end.upperBound + length + 2)...]
        }
    }
}

extension Workbench {
    /// Calls the API.
    var api: APICall { APICall(socket: socket) }
}
