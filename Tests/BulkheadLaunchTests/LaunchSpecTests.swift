import BulkheadLaunch
import Testing

@Suite("LaunchSpec")
struct LaunchSpecTests {
    static var full: LaunchSpec {
        var spec = LaunchSpec(
            attempt: 42,
            executable: "/h/checksum",
            arguments: ["/h/checksum", "-v", ""],
            environment: ["PATH=/usr/bin", "EMPTY="],
            workingFolder: "/scratch/1"
        )
        spec.task = "a task"
        spec.timeoutNanoseconds = 1
        spec.graceNanoseconds = 2
        spec.cpuNanoseconds = 3
        spec.openFiles = 256
        spec.fileSizeBytes = 1 << 40
        spec.user = LaunchUser(uid: 2_000_000_000, gid: 2_000_000_001)
        spec.cgroup = CgroupSpec(
            procs: ["/c/pids/cgroup.procs", "/c/memory/cgroup.procs"],
            kill: "/c/cgroup.kill",
            oom: CgroupOOM(path: "/c/memory.events", kind: .v2),
            folders: ["/c/pids", "/c/memory"]
        )
        spec.namespaces = NamespaceSpec(
            inUserNamespace: true,
            hasNetwork: true,
            hasIPC: true,
            processes: 64,
            mounts: MountSpec(
                base: .empty,
                steps: [
                    .bind(path: "/usr", access: .execute, optional: true),
                    .link(path: "/bin", target: "usr/bin"), .offer(path: "/root/p", access: .read),
                    .memory(path: "/scratch/1", bytes: 1 << 28, inodes: 65536, isOwned: true), .proc,
                    .cover(path: "/run"), .mask(path: "/proc/keys", isFolder: false),
                ]
            )
        )
        spec.landlock = LandlockSpec(
            handledAccess: 0x7fff,
            handledNetwork: 3,
            scoped: 2,
            rules: [
                LandlockRule(path: "/usr", access: 13), LandlockRule(path: "/x", access: 4, optional: true),
            ],
            allowOwnProc: true
        )
        spec.filter = FilterSpec(
            program: [UInt8](repeating: 6, count: 16),
            hasListener: true,
            firstExecNotified: true,
            onDenied: .kill,
            answers: [
                DenialAnswer(
                    number: 41,
                    conditions: [
                        DenialCondition(index: 5, comparison: .lessOrEqual, mask: 0xFFFF, value: .max)
                    ],
                    action: .errno(22)
                ),
                DenialAnswer(number: 42, action: .kill),
            ],
            deniedLimit: 5
        )
        spec.eventLineBytes = 1000
        return spec
    }

    /// Specs that have each part in each of its forms, by name.
    static var samples: [(name: String, spec: LaunchSpec)] {
        var audit = full
        audit.filter.onDenied = .audit(errno: 1, held: [41, 53])
        audit.filter.answers = DenialComparison.allCases.map { comparison in
            let condition = DenialCondition(index: 0, comparison: comparison, mask: .max, value: 7)
            return DenialAnswer(number: 16, conditions: [condition, condition], action: .errno(95))
        }
        audit.cgroup.oom = CgroupOOM(path: "/c/memory.oom_control", kind: .v1)
        audit.landlock?.rules = []
        var errno = full
        errno.filter.onDenied = .errno(1)
        errno.user = nil
        errno.landlock = nil
        let bare = LaunchSpec(attempt: 1, executable: "/bin/true", arguments: [], workingFolder: "/")
        return [("full", full), ("audit", audit), ("errno", errno), ("bare", bare)]
    }

    @Test("a spec of each form comes back as it went", arguments: samples.map(\.spec))
    func forms(spec: LaunchSpec) throws {
        #expect(try LaunchSpec(decoding: spec.encoded()[...]) == spec)
    }

    @Test("a spec with everything comes back as it went")
    func full() throws {
        #expect(try LaunchSpec(decoding: Self.full.encoded()[...]) == Self.full)
    }

    @Test("a filter under audit comes back with the calls that stay denied")
    func audit() throws {
        var spec = Self.full
        spec.filter.onDenied = .audit(errno: 1, held: [41, 53])
        #expect(try LaunchSpec(decoding: spec.encoded()[...]) == spec)
        spec.filter.onDenied = .audit(errno: 0, held: [])
        #expect(throws: CodecError.self) { try LaunchSpec(decoding: spec.encoded()[...]) }
    }

    @Test("a spec with nothing but a program comes back as it went")
    func bare() throws {
        let spec = LaunchSpec(attempt: 1, executable: "/bin/true", arguments: [], workingFolder: "/")
        #expect(try LaunchSpec(decoding: spec.encoded()[...]) == spec)
    }

    @Test("whatever one byte is changed to, a spec is rejected or encodes to the same bytes again")
    func everyByte() throws {
        var bytes = try Self.full.encoded()
        for index in bytes.indices {
            let kept = bytes[index]
            for other in [0, 1, 2, 3, 0x7f, 0x80, 0xff, kept ^ 0x10] where other != kept {
                bytes[index] = other
                if let spec = try? LaunchSpec(decoding: bytes[...]) {
                    #expect(try spec.encoded() == bytes, "byte \(index) as \(other)")
                }
            }
            bytes[index] = kept
        }
    }

    @Test("a spec that lacks its end, or goes on after it, is rejected")
    func everyLength() throws {
        let bytes = try Self.full.encoded()
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) { try LaunchSpec(decoding: bytes[..<count]) }
        }
        #expect(throws: CodecError.trailingBytes(count: 1)) { try LaunchSpec(decoding: (bytes + [0])[...]) }
    }

    @Test("a NUL byte in a text for the kernel is rejected by its field")
    func nul() throws {
        var spec = Self.full
        spec.arguments = ["a\0b"]
        let bytes = try spec.encoded()
        #expect(throws: CodecError.nulByte(field: "arguments")) { try LaunchSpec(decoding: bytes[...]) }
    }

    @Test("a text that is not UTF-8 is rejected by its field")
    func notUTF8() throws {
        var bytes = try Self.full.encoded()
        bytes[28] = 0xff
        #expect(throws: CodecError.notUTF8(field: "executable")) { try LaunchSpec(decoding: bytes[...]) }
    }

    @Test("a length beyond its bound is rejected before memory is taken")
    func hugeLength() throws {
        var bytes = try Self.full.encoded()
        for index in 24..<28 { bytes[index] = 0xff }
        let limit = UInt64(LaunchLimits.textBytes)
        #expect(throws: CodecError.tooLong(field: "executable", bytes: UInt64(UInt32.max), limit: limit)) {
            try LaunchSpec(decoding: bytes[...])
        }
    }

    @Test("a filter that is no whole number of instructions is rejected")
    func oddFilter() throws {
        var spec = Self.full
        spec.filter.program = [1, 2, 3]
        let bytes = try spec.encoded()
        #expect(throws: CodecError.truncated(field: "filter")) { try LaunchSpec(decoding: bytes[...]) }
    }

    @Test("a mount on a path that is not absolute is rejected")
    func relativeMount() throws {
        var spec = Self.full
        spec.namespaces?.mounts?.steps = [.cover(path: "run")]
        let bytes = try spec.encoded()
        #expect(throws: CodecError.unknownValue(field: "mount path", value: UInt64(UInt8(ascii: "r")))) {
            try LaunchSpec(decoding: bytes[...])
        }
    }

    @Test("an errno that the kernel would not take for one is rejected", arguments: [0, -1, 4096])
    func deniedErrno(errno: Int32) throws {
        var spec = Self.full
        spec.filter.onDenied = .errno(errno)
        let bytes = try spec.encoded()
        #expect(throws: CodecError.self) { try LaunchSpec(decoding: bytes[...]) }
    }

    @Test("an event line bound of nothing, or beyond a packet, is rejected", arguments: [0, 196_609])
    func eventBound(bound: UInt32) throws {
        var spec = Self.full
        spec.eventLineBytes = bound
        let bytes = try spec.encoded()
        #expect(throws: CodecError.self) { try LaunchSpec(decoding: bytes[...]) }
    }

    @Test("the number that would leave a user or a group as it is is rejected")
    func unchangedUser() throws {
        for user in [LaunchUser(uid: .max, gid: 1), LaunchUser(uid: 1, gid: .max)] {
            var spec = Self.full
            spec.user = user
            let bytes = try spec.encoded()
            #expect(throws: CodecError.self) { try LaunchSpec(decoding: bytes[...]) }
        }
    }

    @Test("a spec beyond its bound is not encoded")
    func tooLarge() {
        var spec = Self.full
        spec.environment = [String](repeating: String(repeating: "x", count: 100_000), count: 30)
        #expect(throws: CodecError.self) { try spec.encoded() }
    }

    @Test("the out-of-memory counter is read from both cgroup versions")
    func oomKills() {
        let second = "low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 0\n"
        let first = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"
        #expect(CgroupOOM.kills(in: ArraySlice(second.utf8)) == 3)
        #expect(CgroupOOM.kills(in: ArraySlice(first.utf8)) == 4)
        #expect(CgroupOOM.kills(in: ArraySlice("oom_kill x\n".utf8)) == 0)
        #expect(CgroupOOM.kills(in: []) == 0)
    }
}
