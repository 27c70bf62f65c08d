import BulkheadPolicy
import Testing

@Suite("SyscallGroups")
struct SyscallGroupsTests {
    @Test("every group of systemd is there, and not empty")
    func names() {
        let expected = [
            "@aio", "@basic-io", "@chown", "@clock", "@cpu-emulation", "@debug", "@default", "@file-system",
            "@io-event", "@ipc", "@keyring", "@known", "@memlock", "@module", "@mount", "@network-io",
            "@obsolete",
            "@pkey", "@privileged", "@process", "@raw-io", "@reboot", "@resources", "@sandbox", "@setuid",
            "@signal", "@swap", "@sync", "@system-service", "@timer",
        ]
        #expect(SyscallGroups.names == expected)
        #expect(expected.allSatisfy { SyscallGroups.members(of: $0)?.isEmpty == false })
        #expect(SyscallGroups.members(of: "@nonesuch") == nil)
    }

    @Test("members are calls that some table knows, never groups")
    func members() {
        for group in SyscallGroups.names {
            for name in SyscallGroups.members(of: group) ?? [] {
                #expect(SyscallTable.knows(name: name), "\(group) holds \(name)")
            }
        }
    }

    @Test(
        "a group within a group gives its members",
        arguments: ["@clock", "@module", "@raw-io", "@swap", "@chown"]
    )
    func nested(inner: String) throws {
        let outer = try #require(SyscallGroups.members(of: "@privileged"))
        #expect(outer.isSuperset(of: try #require(SyscallGroups.members(of: inner))))
        #expect(!outer.contains(inner))
    }

    @Test(
        "a call is where systemd has it",
        arguments: [
            ("ptrace", "@debug"), ("socket", "@network-io"), ("io_uring_setup", "@aio"), ("mount", "@mount"),
            ("keyctl", "@keyring"), ("clone3", "@process"), ("open_by_handle_at", "@privileged"),
            ("landlock_add_rule", "@sandbox"), ("setxattrat", "@file-system"), ("mseal", "@default"),
            ("read", "@system-service"), ("epoll_wait", "@io-event"), ("reboot", "@privileged"),
        ]
    )
    func placed(call: String, group: String) {
        #expect(SyscallGroups.members(of: group)?.contains(call) == true)
        #expect(SyscallGroups.groups(holding: call).contains(group))
    }

    @Test("everything is known")
    func known() {
        #expect(SyscallGroups.members(of: "@known") == Set(SyscallTable.allNames))
    }
}

@Suite("SyscallSelector")
struct SyscallSelectorTests {
    @Test(
        "a name, a group and their negations are read",
        arguments: ["read", "@file-system", "!read", "!@debug"]
    )
    func reads(text: String) throws {
        let selector = try SyscallSelector(text)
        #expect(selector.description == text)
        #expect(selector.isNegated == text.hasPrefix("!"))
    }

    @Test("an unknown word is refused with what it was sought among")
    func unknown() {
        let call = #expect(throws: SyscallSelector.Unknown.self) { try SyscallSelector("opneat") }
        #expect(call?.word == "opneat")
        #expect(call?.candidates.contains("openat") == true)
        let group = #expect(throws: SyscallSelector.Unknown.self) { try SyscallSelector("!@network") }
        #expect(group?.word == "@network")
        #expect(group?.candidates.contains("@network-io") == true)
        for text in ["", "!", "@", "!!read", " read", "READ", "@Network-IO"] {
            #expect(throws: SyscallSelector.Unknown.self) { try SyscallSelector(text) }
        }
    }

    @Test("a negated entry takes out what came before it")
    func negation() throws {
        func names(_ texts: String...) throws -> Set<String> {
            SyscallSelector.names(of: try texts.map { try SyscallSelector($0) })
        }
        #expect(try names("@keyring", "!keyctl") == ["add_key", "request_key"])
        #expect(try names("!keyctl", "@keyring") == ["add_key", "request_key", "keyctl"])
        #expect(try names("read", "!@basic-io") == [])
        #expect(try names("!read") == [])
    }
}
