import BulkheadPolicy
import BulkheadSandbox
import Testing

@Suite("FilterCheck")
struct FilterCheckTests {
    private static let allow: UInt32 = 0x7FFF_0000
    private static let notify: UInt32 = 0x7FC0_0000

    private func compiled(_ preset: Preset) throws -> (FilterProgram, FilterCheck, SystemCallRules) {
        var policy = SandboxPolicy()
        policy.preset = preset
        let sandbox = try CompiledSandbox.compile(policy)
        let filter = try #require(sandbox.filter)
        let program = try #require(FilterProgram(bytes: filter.bytes))
        return (program, FilterCheck(rules: sandbox.rules, rendezvous: 0x3FFF_FF42), sandbox.rules)
    }

    @Test("a filter that allows everything is caught")
    func allowEverything() throws {
        let (_, check, _) = try compiled(.default)
        #expect(throws: FilterMismatch.self) { try check.run(FilterProgram([.init(0x06, Self.allow)])) }
    }

    @Test("a filter that skips the question for the architecture is caught")
    func withoutArchitecture() throws {
        let (program, check, _) = try compiled(.default)
        let at = try #require(
            program.instructions.firstIndex { $0.constant == Architecture.current.auditNumber }
        )
        var broken = program
        broken.instructions[at] = FilterInstruction(
            0x15,
            jumpTrue: program.instructions[at].jumpTrue,
            jumpFalse: program.instructions[at].jumpTrue,
            program.instructions[at].constant
        )
        let mismatch = #expect(throws: FilterMismatch.self) { try check.run(broken) }
        #expect(mismatch?.expected == .kill)
    }

    @Test("a comparison of all 64 bits of a 32-bit argument is caught")
    func highBits() throws {
        // Before the right filter: an ioctl whose high half is not zero goes through.
        let (program, check, rules) = try compiled(.default)
        let ioctl = try #require(SyscallTable.current.number(of: "ioctl"))
        let prefix: [FilterInstruction] = [
            .init(0x20, 4), .init(0x15, jumpFalse: 5, Architecture.current.auditNumber),
            .init(0x20, 0), .init(0x15, jumpFalse: 3, ioctl),
            .init(0x20, 28), .init(0x15, jumpTrue: 1, 0), .init(0x06, Self.allow),
        ]
        let mismatch = #expect(throws: FilterMismatch.self) {
            try check.run(FilterProgram(prefix + program.instructions))
        }
        #expect(mismatch?.number == ioctl)
        #expect(mismatch?.expected == .deny)
        #expect(mismatch?.returned == Self.allow)
        #expect(rules.verdict(number: ioctl, arguments: [0, 0x1_0000_5412, 0, 0, 0, 0]) == .deny)
    }

    @Test(
        "a single number given or taken wrongly is caught",
        arguments: ["ptrace", "read", "mseal", "clone3"]
    )
    func singleNumber(name: String) throws {
        let (program, check, rules) = try compiled(.default)
        let number = try #require(SyscallTable.current.number(of: name))
        let wrong =
            rules.verdict(number: number, arguments: [0, 0, 0, 0, 0, 0]) == .allow ? Self.notify : Self.allow
        let prefix: [FilterInstruction] = [
            .init(0x20, 4), .init(0x15, jumpFalse: 3, Architecture.current.auditNumber),
            .init(0x20, 0), .init(0x15, jumpFalse: 1, number), .init(0x06, wrong),
        ]
        let mismatch = #expect(throws: FilterMismatch.self) {
            try check.run(FilterProgram(prefix + program.instructions))
        }
        #expect(mismatch?.number == number)
        #expect(mismatch?.returned == wrong)
    }

    @Test("a filter that lets the rendezvous through is caught")
    func rendezvous() throws {
        let (program, _, rules) = try compiled(.default)
        #expect(throws: FilterMismatch.self) {
            try FilterCheck(rules: rules, rendezvous: 0x3FFF_FF43).run(program)
        }
    }

    @Test("a filter that the kernel would refuse is refused")
    func invalid() throws {
        let (program, check, _) = try compiled(.default)
        #expect(throws: FilterEvaluator.Invalid.noReturn) {
            try check.run(FilterProgram(program.instructions + [.init(0x00, 0)]))
        }
    }

    /// Changes each instruction in two ways: another constant or answer, swapped branches.
    ///
    /// What survives has
    /// no meaning, such as the answer of an instruction that nothing reaches.
    @Test("nearly every single corruption of a filter is caught")
    func corruption() throws {
        let (program, check, _) = try compiled(.default)
        var caught = 0
        var missed = 0
        for position in program.instructions.indices {
            for corrupted in Self.corruptions(of: program.instructions[position]) {
                var broken = program
                broken.instructions[position] = corrupted
                do {
                    try check.run(broken)
                    missed += 1
                } catch {
                    caught += 1
                }
            }
        }
        #expect(caught > 400)
        #expect(missed * 100 < caught)
    }

    private static func corruptions(of one: FilterInstruction) -> [FilterInstruction] {
        var constant = one
        constant.constant ^= one.code == 0x06 ? 0x0043_0000 : 1
        guard one.code & 0x07 == 0x05, one.jumpTrue != one.jumpFalse else { return [constant] }
        var branches = one
        swap(&branches.jumpTrue, &branches.jumpFalse)
        return [constant, branches]
    }
}
