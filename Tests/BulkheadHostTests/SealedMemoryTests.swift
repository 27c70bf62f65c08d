import CLinux
import Foundation
import Glibc
import Testing

@testable import BulkheadHost

@Suite("SealedMemory")
struct SealedMemoryTests {
    private func read(_ descriptor: Int32, atMost limit: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = unsafe Glibc.read(descriptor, &bytes, limit)
        return Array(bytes[..<max(0, count)])
    }

    private func names() -> [String] {
        let folder = "/proc/self/fd"
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return numbers.compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
        }
    }

    @Test("it is read from its beginning to its end without a writer")
    func readsFromTheBeginning() throws {
        let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        let memory = try SealedMemory(name: "sealed", content: content)
        #expect(read(memory.descriptor, atMost: 400_000) == content)
        #expect(read(memory.descriptor, atMost: 10).isEmpty)
    }

    @Test("an empty one is at its end at once")
    func emptyIsAtItsEnd() throws {
        let memory = try SealedMemory(name: "sealed", content: [])
        #expect(read(memory.descriptor, atMost: 10).isEmpty)
    }

    @Test("it cannot be written, grown, cut or unsealed")
    func cannotBeChanged() throws {
        let memory = try SealedMemory(name: "sealed", content: [1, 2, 3])
        #expect(clinux_is_sealed(memory.descriptor) == 1)
        var byte: UInt8 = 9
        #expect(unsafe pwrite(memory.descriptor, &byte, 1, 0) == -1)
        #expect(errno == EPERM)
        #expect(ftruncate(memory.descriptor, 1) == -1)
        #expect(ftruncate(memory.descriptor, 10) == -1)
        #expect(clinux_fcntl(memory.descriptor, 1033, 0) == -EPERM)  // F_ADD_SEALS
        #expect(read(memory.descriptor, atMost: 10) == [1, 2, 3])
    }

    @Test("no program that is executed inherits it")
    func isCloseOnExec() throws {
        let memory = try SealedMemory(name: "sealed", content: [1])
        #expect(clinux_fcntl(memory.descriptor, F_GETFD, 0) & FD_CLOEXEC == FD_CLOEXEC)
    }

    @Test("its descriptor goes with it")
    func descriptorGoesWithIt() throws {
        let name = "sealed-\(UUID())"
        var memory: SealedMemory? = try SealedMemory(name: name, content: [1])
        #expect(memory != nil)
        #expect(names().contains { $0.contains(name) })
        memory = nil
        #expect(!names().contains { $0.contains(name) })
    }
}
