import BulkheadPolicy
import BulkheadSandbox
import Testing

@Suite("LandlockPlan")
struct LandlockPlanTests {
    private let paths = LaunchPaths(
        handler: "/h/SHA/copy",
        interpreter: "/srv/python/bin/python3",
        scratch: "/scratch/1",
        plugins: "/plugins"
    )

    /// A host with the usual folders, and secrets in /etc.
    private let files = FileView(
        kind: { path in
            if ["/lib32", "/libx32", "/missing"].contains(path) { return nil }
            return path.hasPrefix("/dev/") || path.hasPrefix("/proc/") && !path.hasPrefix("/proc/sys")
                || ["/h/SHA/copy", "/srv/python/bin/python3", "/etc/passwd", "/etc/localtime", "/data.csv"]
                    .contains(path)
                ? .file : .folder
        },
        entries: { folder in
            switch folder {
            case "/etc":
                [
                    .init(name: "gshadow-", kind: .file, isPublic: true),
                    .init(name: "mtab", kind: .link, isPublic: true),
                    .init(name: "passwd", kind: .file, isPublic: true),
                    .init(name: "private.key", kind: .file, isPublic: false),
                    .init(name: "shadow", kind: .file, isPublic: true),
                    .init(name: "ssh", kind: .folder, isPublic: true),
                    .init(name: "ssl", kind: .folder, isPublic: true),
                    .init(name: "sudoers.d", kind: .folder, isPublic: true),
                ]
            case "/etc/ssl":
                [
                    .init(name: "certs", kind: .folder, isPublic: true),
                    .init(name: "private", kind: .folder, isPublic: true),
                ]
            default: []
            }
        }
    )

    private func plan(
        _ policy: SandboxPolicy = SandboxPolicy(),
        user: LandlockUser = .ownUser,
        abi: Int = 7,
        namespaces: NamespaceHold = []
    ) throws -> LandlockPlan {
        LandlockPlan(
            policy: policy,
            rules: try SystemCallRules(policy),
            paths: paths,
            user: user,
            abi: abi,
            namespaces: namespaces,
            files: files
        )
    }

    private func access(_ plan: LandlockPlan, _ path: String) -> LandlockAccess? {
        plan.rules.first { $0.path == path }?.access
    }

    @Test(
        "the rights withheld are those that the host's ABI knows",
        arguments: [
            (0, UInt64(0)), (1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (4, 0x7FFF), (5, 0xFFFF), (9, 0x1FFFF),
        ]
    )
    func handledAccess(abi: Int, bits: UInt64) throws {
        let plan = try plan(abi: abi)
        #expect(plan.handledAccess.rawValue == bits)
        #expect(plan.rules.allSatisfy { plan.handledAccess.isSuperset(of: $0.access) })
        #expect(plan.rules.allSatisfy { !$0.access.isEmpty })
        #expect(plan.rules.isEmpty == (abi == 0))
    }

    @Test("a file gets no right that only folders have")
    func filesAndFolders() throws {
        var policy = SandboxPolicy()
        policy.read = ["/data.csv"]
        policy.write = ["/dev/null"]
        let plan = try plan(policy)
        #expect(access(plan, "/data.csv") == .readFile)
        #expect(access(plan, "/dev/null") == [.readFile, .writeFile, .truncate, .deviceControl])
        #expect(access(plan, "/h/SHA/copy") == [.readFile, .execute])
        #expect(access(plan, "/srv/python/bin/python3") == [.readFile, .execute])
    }

    @Test("programs are executed, settings and plugins only read, the scratch folder is the handler's own")
    func presetFiles() throws {
        let plan = try plan()
        #expect(access(plan, "/usr") == [.readFile, .readFolder, .execute])
        #expect(access(plan, "/etc") == [.readFile, .readFolder])
        #expect(access(plan, "/plugins") == [.readFile, .readFolder])
        let scratch = try #require(access(plan, "/scratch/1"))
        #expect(scratch.isSuperset(of: [.readFile, .writeFile, .change, .refer, .truncate, .execute]))
        #expect(scratch.isDisjoint(with: [.makeDevices, .deviceControl]))
        #expect(access(plan, "/tmp") == nil)
        #expect(access(plan, "/proc") == nil)
        #expect(plan.allowsOwnProc)
    }

    @Test("a policy's folders are read and written, never executed, and must exist")
    func policyFolders() throws {
        var policy = SandboxPolicy()
        policy.read = ["/fonts", "/missing"]
        policy.write = ["/thumbnails", "/fonts"]
        let plan = try plan(policy)
        let fonts = try #require(plan.rules.first { $0.path == "/fonts" })
        #expect(fonts.access.isSuperset(of: [.readFolder, .writeFile, .change]))
        #expect(!fonts.access.contains(.execute))
        #expect(!fonts.isOptional)
        #expect(plan.rules.contains { $0.path == "/missing" && !$0.isOptional })
        #expect(plan.rules.filter { $0.path == "/fonts" }.count == 1)
    }

    @Test("a preset's path that the host has not is left out")
    func missingPresetPath() throws {
        #expect(access(try plan(), "/lib32") == nil)
    }

    @Test("root is given the settings entry by entry, without the secrets")
    func rootSettings() throws {
        let settings = try plan(user: .root).rules.map(\.path).filter { $0.hasPrefix("/etc") }
        #expect(settings.sorted() == ["/etc/localtime", "/etc/passwd", "/etc/ssl/certs"])
    }

    @Test("only network opens what the resolver's link leads to")
    func resolver() throws {
        var policy = SandboxPolicy()
        #expect(access(try plan(policy), "/etc/resolv.conf") == nil)
        policy.preset = .network
        #expect(access(try plan(policy), "/etc/resolv.conf") != nil)
    }

    @Test("unconfined bounds no file, and keeps abstract sockets inside under network none")
    func unconfined() throws {
        var policy = SandboxPolicy()
        policy.preset = .unconfined
        #expect(try plan(policy).handledAccess.isEmpty)
        #expect(try plan(policy).rules.isEmpty)
        #expect(try plan(policy).scope == .abstractSockets)
        #expect(try plan(policy, abi: 5).gaps.map(\.kind) == [.abstractSockets])
        policy.network = .host
        #expect(try plan(policy).isEmpty)
        #expect(try plan(policy).gaps.isEmpty)
    }

    @Test(
        "what an ABI cannot hold is said",
        arguments: [
            (0, [LandlockGap.Kind.files, .signals]), (1, [.truncation, .childProc, .signals]),
            (2, [.truncation, .childProc, .signals]), (3, [.childProc, .signals]), (6, [.childProc]),
        ]
    )
    func gaps(abi: Int, kinds: [LandlockGap.Kind]) throws {
        #expect(try plan(abi: abi).gaps.map(\.kind) == kinds)
    }

    private static let everything: NamespaceHold = [.processes, .files, .proc, .sharedMemory, .network]

    @Test(
        "with every namespace nothing is left open, on any kernel and for any user",
        arguments: [0, 1, 2, 6, 9]
    )
    func namespaces(abi: Int) throws {
        var policy = SandboxPolicy()
        for allow in [[], [SyscallSelector.name("socket")]] {
            policy.allow = allow
            for user in [LandlockUser.root, .ownUser, .sharedUser] {
                #expect(try plan(policy, user: user, abi: abi, namespaces: Self.everything).gaps.isEmpty)
            }
        }
    }

    @Test("each namespace closes what it is for")
    func eachNamespace() throws {
        var policy = SandboxPolicy()
        policy.allow = [.name("socket")]
        func left(_ hold: NamespaceHold) throws -> [LandlockGap.Kind] {
            try plan(policy, user: .sharedUser, abi: 2, namespaces: hold).gaps.map(\.kind)
        }
        #expect(try left(.files) == [.childProc, .signals, .abstractSockets])
        #expect(
            try left(.processes) == [.truncation, .metadata, .unixSockets, .childProc, .abstractSockets]
        )
        #expect(try left(.network) == [.truncation, .metadata, .unixSockets, .childProc, .signals])
        #expect(try left([.files, .proc, .processes]) == [.abstractSockets])
        // What may only be read can hold sockets.
        policy.read = ["/run"]
        #expect(try left(Self.everything) == [.unixSockets])
        #expect(try plan(policy, user: .sharedUser, abi: 9, namespaces: Self.everything).gaps.isEmpty)
    }

    @Test("a /proc of its own is read whole, and a private /dev/shm is written")
    func privateFolders() throws {
        let plan = try plan(namespaces: Self.everything)
        #expect(access(plan, "/proc") == [.readFile, .readFolder])
        #expect(access(plan, "/proc/cpuinfo") == nil && !plan.allowsOwnProc)
        #expect(access(plan, "/dev/shm")?.isSuperset(of: [.readFile, .writeFile, .change]) == true)
        #expect(access(plan, "/dev/shm")?.contains(.execute) == false)
        let without = try self.plan()
        #expect(access(without, "/proc") == nil && access(without, "/dev/shm") == nil)
        #expect(access(without, "/proc/cpuinfo") != nil)
    }

    @Test("what is allowed is known without Landlock too")
    func allowed() throws {
        let plan = try plan(abi: 0, namespaces: Self.everything)
        #expect(plan.rules.isEmpty && plan.handledAccess.isEmpty)
        #expect(plan.allowed.first { $0.path == "/usr" }?.access == [.readFile, .readFolder, .execute])
    }

    @Test("who shares its user is refused where signals and truncation are open; a user of its own is warned")
    func sharedUserRefusals() throws {
        let shared = try plan(user: .sharedUser, abi: 2).gaps.filter(\.refusesRequired).map(\.kind)
        #expect(shared == [.truncation, .signals])
        #expect(try plan(user: .ownUser, abi: 2).gaps.filter(\.refusesRequired).isEmpty)
    }

    @Test("no Landlock at all, and Unix sockets that reach any path, refuse an enforced policy")
    func refusals() throws {
        #expect(try plan(abi: 0).gaps.filter(\.refusesRequired).map(\.kind) == [.files])
        #expect(try plan(abi: 7).gaps.filter(\.refusesRequired).isEmpty)
        var policy = SandboxPolicy()
        policy.allow = [.name("socket")]
        #expect(try plan(policy, abi: 7).gaps.filter(\.refusesRequired).map(\.kind) == [.unixSockets])
        #expect(try plan(policy, abi: 9).gaps.filter(\.refusesRequired).isEmpty)
    }

    @Test("a user who owns files of the host is warned of changed modes")
    func metadata() throws {
        #expect(try plan(user: .sharedUser).gaps.map(\.kind).contains(.metadata))
        #expect(try !plan(user: .ownUser).gaps.map(\.kind).contains(.metadata))
    }

    @Test("signals and abstract sockets stay inside from ABI 6")
    func scope() throws {
        #expect(try plan(abi: 5).scope.isEmpty)
        #expect(try plan(abi: 6).scope == [.abstractSockets, .signals])
    }

    @Test("the host's own files are seen as what they are")
    func hostView() {
        #expect(FileView.host.kind("/proc/self/fd") == .folder)
        #expect(FileView.host.kind("/dev/null") == .file)
        #expect(FileView.host.kind("/no/such/path") == nil)
        let entries = FileView.host.entries("/proc/self")
        #expect(entries.contains(.init(name: "exe", kind: .link, isPublic: true)))
        #expect(entries.contains(.init(name: "status", kind: .file, isPublic: true)))
        #expect(entries.contains(.init(name: "mem", kind: .file, isPublic: false)))
        #expect(!entries.contains { $0.name == "." || $0.name == ".." })
        #expect(FileView.host.entries("/no/such/path").isEmpty)
    }

    @Test("of two spellings of one name each has its own rights")
    func spellings() throws {
        let (composed, decomposed) = ("/srv/\u{e9}", "/srv/e\u{301}")
        var policy = SandboxPolicy()
        policy.read = [composed]
        policy.write = [decomposed]
        let rules = try plan(policy).rules.filter { $0.path.utf8.starts(with: "/srv/".utf8) }
        let written = rules.filter { $0.access.contains(.writeFile) }
        #expect(rules.contains { $0.path.utf8.elementsEqual(composed.utf8) })
        #expect(written.count == 1 && written.allSatisfy { $0.path.utf8.elementsEqual(decomposed.utf8) })
    }
}
