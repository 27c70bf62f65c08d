import BulkheadPolicy
import Foundation
import Testing

/// The tables against what this machine has of the same facts: the kernel's headers, and systemd.
@Suite("Tables and the machine's own facts")
struct InstalledFactsTests {
    private static let header = [
        "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h",
    ].first { FileManager.default.fileExists(atPath: $0) }

    private static let generic = "/usr/include/asm-generic/unistd.h"

    private static let systemd = "/usr/bin/systemd-analyze"

    /// Names and numbers of lines `#define __NR_name 1`.
    private static func numbers(_ path: String) throws -> [String: UInt32] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return text.split(separator: "\n").reduce(into: [:]) { found, line in
            let words = line.split(separator: " ", omittingEmptySubsequences: true).flatMap {
                $0.split(separator: "\t")
            }
            guard words.count >= 3, words[0] == "#define", let number = UInt32(words[2]) else { return }
            for prefix in ["__NR_", "__NR3264_"] where words[1].hasPrefix(prefix) {
                found[String(words[1].dropFirst(prefix.count))] = number
            }
        }
    }

    @Test(
        "every number of x86-64's header is the table's",
        .enabled(if: header != nil, "needs asm/unistd_64.h of linux-libc-dev")
    )
    func x8664() throws {
        let numbers = try Self.numbers(try #require(Self.header))
        #expect(numbers.count > 350)
        let table = SyscallTable.table(of: .x8664)
        for (name, number) in numbers { #expect(table.number(of: name) == number, "\(name)") }
        // What the header lacks came later than it.
        let newest = numbers.values.max() ?? 0
        for call in table.all where numbers[call.name] == nil {
            #expect(call.number > newest || ["uretprobe", "uprobe"].contains(call.name), "\(call.name)")
        }
    }

    @Test(
        "every number that the generic header gives 64-bit machines is aarch64's",
        .enabled(
            if: FileManager.default.fileExists(atPath: generic),
            "needs asm-generic/unistd.h of linux-libc-dev"
        )
    )
    func aarch64() throws {
        let numbers = try Self.numbers(Self.generic)
        #expect(numbers.count > 300)
        let table = SyscallTable.table(of: .aarch64)
        // The header names these by their width: on 64-bit machines they are called otherwise or not there.
        let names = ["fstatat": "newfstatat"]
        // The count of calls, and another architecture's name of number 84.
        let others: Set<String> = ["syscalls", "sync_file_range2"]
        for (name, number) in numbers where !others.contains(name) {
            guard !name.hasSuffix("64") || table.number(of: name) != nil else { continue }
            guard let call = table.syscall(numbered: number), number < 244 || number > 259 else { continue }
            #expect(call.name == names[name] ?? name || name.hasSuffix("_time32"), "\(name) is \(number)")
        }
        for name in [
            "openat", "ioctl", "socket", "clone", "execve", "seccomp", "futex_waitv", "mmap", "lseek",
        ] {
            #expect(numbers[name] == table.number(of: name), "\(name)")
        }
    }

    /// The members of each group as systemd prints them, groups within groups resolved.
    private static func groups() throws -> [String: Set<String>] {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: systemd)
        process.arguments = ["syscall-filter", "--no-pager"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        var direct: [String: [String]] = [:]
        var current: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("@") {
                current = String(line)
            } else if line.hasPrefix("    "), let current, !line.contains("#") {
                direct[current, default: []].append(line.trimmingCharacters(in: .whitespaces))
            } else if line.hasPrefix("#") || line.hasPrefix("Ungrouped") {
                current = nil
            }
        }
        func flat(_ members: [String], _ depth: Int = 0) -> Set<String> {
            Set(members.flatMap { $0.hasPrefix("@") && depth < 8 ? flat(direct[$0] ?? [], depth + 1) : [$0] })
        }
        return direct.mapValues { flat($0) }
    }

    @Test(
        "a group holds what systemd's group of that name holds, and what came later beside its kin",
        .enabled(if: FileManager.default.isExecutableFile(atPath: systemd), "needs systemd-analyze")
    )
    func groupMembers() throws {
        let groups = try Self.groups()
        #expect(groups.count > 20)
        for name in SyscallGroups.names where name != "@known" {
            // Only this program's later groups are not there.
            guard let theirs = groups[name] else {
                #expect(name == "@sandbox")
                continue
            }
            let ours = try #require(SyscallGroups.members(of: name))
            let known = theirs.filter { SyscallTable.knows(name: $0) }
            #expect(known.subtracting(ours) == [], "\(name) lacks what systemd has in it")
            for added in ours.subtracting(theirs) {
                #expect(Self.added.contains(added), "\(name) has \(added), which systemd has not")
            }
        }
    }

    /// Calls newer than the systemd of Debian 12, or that later versions of it have moved.
    private static let added: Set<String> = [
        "cachestat", "fchmodat2", "file_getattr", "file_setattr", "futex_requeue", "futex_wait", "futex_wake",
        "getxattrat", "listmount", "listxattrat", "map_shadow_stack", "mseal", "open_tree_attr",
        "removexattrat",
        "set_mempolicy_home_node", "setxattrat", "statmount", "uprobe", "uretprobe", "landlock_add_rule",
        "landlock_create_ruleset", "landlock_restrict_self", "seccomp", "userfaultfd", "riscv_flush_icache",
    ]
}
