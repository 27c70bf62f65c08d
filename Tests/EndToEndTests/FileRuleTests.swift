import BulkheadCore
import CLinux
import Foundation
import Testing

extension EndToEnd {
    /// Which files a handler reaches, whom it runs as, and which file of its own runs.
    @Suite("File rules")
    struct FileRuleTests {
        /// A handler that tries each line of its stdin's params as a shell command and says what became of it.
        private static let trier = """
            #!/usr/bin/env python3
            import json, subprocess, sys
            for command in json.load(sys.stdin)["params"]:
                done = subprocess.run(["/bin/sh", "-c", command], capture_output=True)
                print("ok" if done.returncode == 0 else "no")
            """

        private static func tried(
            _ bench: Workbench,
            _ type: String,
            _ commands: [String]
        ) async throws -> [String: Bool] {
            let params = JSONValue.array(commands.map { .string($0) })
            let (task, text) = try await bench.output(of: type, params: params.text)
            try #require(task.text("status") == "completed", "\(task.text)")
            let answers = text.split(separator: "\n").map { $0 == "ok" }
            return Dictionary(uniqueKeysWithValues: zip(commands, answers))
        }

        private static func folder(_ bench: Workbench, _ name: String) throws {
            let path = bench.folder + "/" + name
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: path)
            try bench.write("content", to: name + "/file", mode: 0o666)
            try bench.write("#!/bin/sh\n", to: name + "/program", mode: 0o777)
        }

        @Test(
            "a file outside the preset is closed; read and write open what they name and no more",
            .timeLimit(.minutes(5))
        )
        func readAndWrite() async throws {
            try await Workbench.serving { bench in
                for name in ["in", "out", "else"] { try Self.folder(bench, name) }
                try bench.handler("files", Self.trier)
                try bench.policy(
                    "files",
                    "sandbox: {read: [\"\(bench.folder)/in\"], write: [\"\(bench.folder)/out\"]}\n"
                )
                try bench.handler("plain", Self.trier)
            } _: { bench in
                let f = bench.folder
                let allowed = [
                    "cat \(f)/in/file", "ls \(f)/in", "cat \(f)/out/file", "echo x > \(f)/out/new",
                    "echo y >> \(f)/out/file", "rm \(f)/out/new", "mkdir \(f)/out/a", "rmdir \(f)/out/a",
                    "cat /etc/passwd", "cat \(bench.plugins)/files", "ls \(bench.plugins)",
                    "cat /proc/meminfo",
                    "echo x > /dev/null", "head -c 1 /dev/urandom",
                    "cd $TMPDIR && echo x > a && mv a b && rm b",
                    "cp /bin/true $TMPDIR/own && $TMPDIR/own",
                ]
                let refused = [
                    "cat \(f)/else/file", "ls \(f)/else", "echo x > \(f)/else/new", "echo x > \(f)/in/new",
                    "echo x >> \(f)/in/file", ": > \(f)/in/file", "rm \(f)/in/file",
                    "mkdir \(f)/in/a", "mv \(f)/out/file \(f)/else/file", "ln \(f)/out/file \(f)/else/link",
                    "\(f)/in/program", "\(f)/else/program", "ls \(f)", "ls /tmp", "ls /root", "ls /home",
                    "ls /var/log",
                    "cat /dev/kmsg", "ls /sys/kernel", "cat /proc/1/environ", "cat /proc/\(getpid())/environ",
                    "echo x > \(bench.plugins)/new",
                    "ls \(bench.policies)",
                ]
                for (command, isOpen) in try await Self.tried(bench, "files", allowed) {
                    #expect(isOpen, "\(command)")
                }
                // Below ABI 3 Landlock does not keep a file from being emptied.
                let truncate = clinux_landlock_abi() >= 3 ? ["truncate -s 0 \(f)/else/file"] : []
                for (command, isOpen) in try await Self.tried(bench, "files", refused + truncate) {
                    #expect(!isOpen, "\(command)")
                }
                #expect(try String(contentsOfFile: f + "/in/file", encoding: .utf8) == "content")
                #expect(try String(contentsOfFile: f + "/else/file", encoding: .utf8) == "content")
                for (command, isOpen) in try await Self.tried(
                    bench,
                    "plain",
                    ["cat \(f)/in/file", "cat \(f)/out/file", "echo x > \(f)/out/new"]
                ) {
                    #expect(!isOpen, "\(command)")
                }
            }
        }

        @Test("secrets, the state folder and the supervisor's socket are closed", .timeLimit(.minutes(5)))
        func secrets() async throws {
            try await Workbench.serving { bench in
                try bench.handler("files", Self.trier)
                try bench.handler("as-self", Self.trier)
                try bench.policy("as-self", "user: \(NSUserName())\n")
            } _: { bench in
                let connect = """
                    python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("\(bench.socket)")'
                    """
                let commands = [
                    "cat /etc/shadow", "cat /etc/gshadow", "ls /etc/ssl/private", "cat /etc/sudoers",
                    "ls \(bench.state)", "cat \(bench.state)/bulkhead.sqlite",
                    "stat \(bench.socket) && \(connect)",
                    connect,
                    // The supervisor, by what it is called.
                    "for p in /proc/[0-9]*; do cat $p/comm; done | grep -q bulkhead",
                ]
                let supervisor = try #require(try await bench.answer("status")["pid"]?.integer)
                for type in ["files", "as-self"] {
                    // Below ABI 6 Landlock keeps no signal from a process of the same user.
                    let isApart = clinux_landlock_abi() >= 6 || (type == "files" && isRoot)
                    let signals = isApart ? ["kill -0 \(supervisor)", "kill -0 1"] : []
                    for (command, isOpen) in try await Self.tried(bench, type, commands + signals) {
                        #expect(!isOpen, "\(type): \(command)")
                    }
                }
            }
        }

        @Test(
            "in root's home, which is closed to all others, handlers run and have the plugins folder before them",
            .timeLimit(.minutes(5)),
            .enabled(if: isRoot, "needs root: only root can change users"),
            .enabled(if: WithheldFeature.canBeWithheld, WithheldFeature.whyNot),
            arguments: [[], [.namespaces], [.namespaces, .landlock]] as [Set<WithheldFeature>]
        )
        func closedHome(withheld: Set<WithheldFeature>) async throws {
            let bench = try Workbench(without: withheld)
            let home = bench.folder + "/home"
            try FileManager.default.createDirectory(
                atPath: home + "/plugins",
                withIntermediateDirectories: true
            )
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: home)
            try bench.write(
                "#!/bin/sh\ncat \"$BULKHEAD_PLUGIN_DIR/.words\"; echo; cat '\(home)/secret'; true",
                to: "home/plugins/reader",
                mode: 0o755
            )
            try bench.write("beside it", to: "home/plugins/.words")
            try bench.write("not for others", to: "home/secret")
            for sandbox in ["", "sandbox: {preset: unconfined}\n"] {
                let policy = "sandbox: {enforcement: best-effort}\n"
                try bench.policy("reader", sandbox.isEmpty ? policy : sandbox)
                try await bench.serving(["--plugins", home + "/plugins"]) { bench in
                    let (task, text) = try await bench.output(of: "reader")
                    #expect(task.text("status") == "completed", "\(task.text)")
                    // Elsewhere the closed folder above is in the way, as it is for every program of that user.
                    let isShown = withheld.isEmpty && sandbox.isEmpty
                    #expect(text == (isShown ? "beside it\n" : "\n"))
                }
            }
        }

        @Test(
            "as root each attempt has a user of its own without groups or capabilities",
            .timeLimit(.minutes(5)),
            .enabled(if: isRoot, "needs root: only root can change users")
        )
        func dynamicUser() async throws {
            try await Workbench.serving { bench in
                // The shell itself is the process that may read its own /proc.
                let script = """
                    id -u; id -g; id -G
                    while read -r line; do echo "$line"; done < /proc/self/status
                    echo; gate $BULKHEAD_TASK_TYPE
                    """
                try bench.gatedHandler("first", script)
                try bench.gatedHandler("second", script)
                try bench.handler("named", "id -u; id -g; id -G")
                try bench.policy("named", "user: nobody\n")
                try bench.handler(
                    "rooted",
                    "#!/usr/bin/env python3\nimport os\nprint(os.getuid())\nprint(open('/proc/self/status').read())"
                )
                try bench.policy("rooted", "user: root\n")
                try bench.handler("missing", "exit 0")
                try bench.policy("missing", "user: no-such-user\n")
                try bench.policy("pools", "default: {concurrency: 4}\n")
            } _: { bench in
                var users: [Int64] = []
                var ids: [String] = []
                for type in ["first", "second"] {
                    let id = try await bench.submit(type)
                    ids.append(id)
                    let logs = { try await bench.bulkhead("logs", id).out }
                    #expect(try await bench.eventually { try await logs().hasSuffix("\n\n") })
                    let text = try await logs()
                    let lines = text.split(separator: "\n").map(String.init)
                    let user = try #require(lines.first.flatMap { Int64($0) })
                    #expect((2_000_000_000...2_000_065_535).contains(user))
                    #expect(lines.prefix(3) == ["\(user)", "\(user)", "\(user)"])
                    #expect(lines.contains("Uid:\t\(user)\t\(user)\t\(user)\t\(user)"))
                    #expect(lines.contains { $0.trimmingCharacters(in: .whitespaces) == "Groups:" })
                    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                        #expect(lines.contains("\(set):\t0000000000000000"), "\(set)")
                    }
                    #expect(lines.contains("NoNewPrivs:\t1") && lines.contains("Seccomp:\t2"))
                    users.append(user)
                }
                #expect(users[0] != users[1])
                try bench.open("first")
                try bench.open("second")
                for id in ids { #expect(try await bench.ended(id).text("status") == "completed") }

                #expect(try await bench.output(of: "named").text == "65534\n65534\n65534\n")
                let rooted = try await bench.output(of: "rooted").text
                #expect(rooted.hasPrefix("0\n") && rooted.contains("CapEff:\t0000000000000000\n"))
                let missing = try await bench.finished("missing")
                #expect(missing.reason == "launch-failed" && missing.message.contains("no-such-user"))
            }
        }

        @Test(
            "without root a handler runs as the supervisor's user, and any other is refused",
            .timeLimit(.minutes(5)),
            .enabled(if: !isRoot, "needs an ordinary user")
        )
        func ordinaryUser() async throws {
            try await Workbench.serving { bench in
                try bench.handler("plain", "id -u")
                try bench.handler("rooted", "id -u")
                try bench.policy("rooted", "user: root\n")
            } _: { bench in
                #expect(try await bench.output(of: "plain").text == "\(geteuid())\n")
                let rooted = try await bench.finished("rooted")
                #expect(rooted.reason == "launch-failed" && rooted.message.contains("root"))
            }
        }

        @Test("a handler with another SHA-256 than its policy's is refused", .timeLimit(.minutes(5)))
        func pinned() async throws {
            try await Workbench.serving { bench in
                // printf '#!/bin/sh\necho pinned\n' | sha256sum
                try bench.handler("pinned", "echo pinned\n")
                try bench.policy(
                    "pinned",
                    "sha256: \"1cac5639a822f598a6e97508b9bf85ff03ab63863afc535a6d67343a3c08c922\"\n"
                )
            } _: { bench in
                #expect(try await bench.output(of: "pinned").text == "pinned\n")
                try bench.handler("pinned", "echo other\n")
                #expect(try await bench.eventually { try await !bench.isUsable("pinned") })
                let problem = try await bench.plugin("pinned")?["problems"]?.array?.first?.string ?? ""
                #expect(problem.contains("SHA-256"))
                // What holds the wish is told, not the built-in policy.
                #expect(try await bench.plugin("pinned")?.text("policy").hasSuffix("pinned.yaml") == true)
                #expect(try await bench.bulkhead("submit", "pinned").code == 4)
            }
        }
    }
}
