import Foundation
import Testing

@testable import BulkheadHost

@Suite("ELFHeader")
struct ELFHeaderTests {
    /// A program of this machine with one loaded segment and, where one is named, a dynamic loader.
    static func program(
        loader: String? = nil,
        machine: UInt16 = ELFHeader.machine,
        kind: UInt8 = 2
    ) -> [UInt8] {
        let segments = loader == nil ? 1 : 2
        let end = 64 + 56 * segments
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        bytes += [kind, 0, UInt8(machine & 0xFF), UInt8(machine >> 8), 1, 0, 0, 0]
        bytes += number(0x400000, 8) + number(64, 8) + number(0, 8) + number(0, 4)
        bytes += number(64, 2) + number(56, 2) + number(UInt64(segments), 2) + number(0, 6)
        bytes += segment(1, offset: 0, bytes: UInt64(end))
        if let loader {
            bytes += segment(3, offset: UInt64(end), bytes: UInt64(loader.utf8.count + 1))
            bytes += Array(loader.utf8) + [0]
        }
        return bytes
    }

    private static func segment(_ kind: UInt64, offset: UInt64, bytes: UInt64) -> [UInt8] {
        number(kind, 4) + number(5, 4) + number(offset, 8) + number(0, 16) + number(bytes, 8)
            + number(bytes, 8)
            + number(0, 8)
    }

    private static func number(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) : 0 }
    }

    private static func problem(_ head: [UInt8], size: Int? = nil) -> ELFHeader.Problem? {
        do throws(ELFHeader.Problem) {
            _ = try ELFHeader.read(head, size: UInt64(size ?? head.count))
            return nil
        } catch {
            return error
        }
    }

    @Test("a program names its dynamic loader, a static one none")
    func loader() throws {
        let dynamic = Self.program(loader: "/lib64/ld.so")
        #expect(try ELFHeader.read(dynamic, size: UInt64(dynamic.count)).interpreter == "/lib64/ld.so")
        let whole = Self.program()
        #expect(try ELFHeader.read(whole, size: UInt64(whole.count)).interpreter == nil)
    }

    @Test("a program of this system is understood")
    func real() throws {
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "/proc/self/exe")).prefix(64 << 10))
        let size = try FileStatus.of("/proc/self/exe", 0).size
        let loader = try ELFHeader.read(bytes, size: size).interpreter
        #expect(loader?.hasPrefix("/lib") == true)
    }

    @Test("every cut of a program is broken, and none traps")
    func cuts() {
        let whole = Self.program(loader: "/lib64/ld.so")
        for count in 4..<whole.count { #expect(Self.problem(Array(whole.prefix(count))) == .truncated) }
        #expect(Self.problem(whole) == nil)
    }

    @Test("a program for another machine is named")
    func machines() {
        #expect(Self.problem(Self.program(machine: 243)) == .otherMachine("riscv"))
        #expect(Self.problem(Self.program(machine: 4711)) == .otherMachine("machine number 4711"))
        var narrow = Self.program(machine: 3)
        narrow[4] = 1
        #expect(Self.problem(narrow) == .otherMachine("i386"))
    }

    @Test("an object file or a core is not executable")
    func kinds() {
        for kind: UInt8 in [0, 1, 4] { #expect(Self.problem(Self.program(kind: kind)) == .notExecutable) }
        #expect(Self.problem(Self.program(kind: 3)) == nil)
    }

    @Test("sizes that overflow are broken, not a trap")
    func overflow() {
        var bytes = Self.program()
        for index in 32..<40 { bytes[index] = 0xFF }
        #expect(Self.problem(bytes) == .truncated)
        bytes = Self.program()
        for index in (64 + 8)..<(64 + 16) { bytes[index] = 0xFF }
        #expect(Self.problem(bytes) == .truncated)
    }
}
