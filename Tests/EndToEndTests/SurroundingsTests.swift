import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What a handler finds around it, and the limits of what it may use.
    @Suite("Surroundings")
    struct SurroundingsTests {
        private static let canLimitMemory = canLimit("memory")
        private static let canLimitProcesses = canLimit("pids")
        private static let hasNoMemoryController =
            TestCgroup.root("memory") == nil && !unified.contains("memory")

        /// What the version 2 hierarchy controls, where there is one.
        private static let unified: [String] = {
            let text = try? String(contentsOfFile: "/sys/fs/cgroup/cgroup.controllers", encoding: .utf8)
            return (text ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
        }()

        /// Only the true root of version 2, which has no type, is ours for certain.
        private static func canLimit(_ controller: String) -> Bool {
            if TestCgroup.root(controller) != nil { return true }
            return isRoot && unified.contains(controller) && !TestCgroup.exists("/sys/fs/cgroup/cgroup.type")
        }

        @Test(
            "the environment is exactly what the contract says, and what the policy adds",
            .timeLimit(.minutes(5))
        )
        func environment() async throws {
            try await Workbench.serving { bench in
                // A program of the system, since a shell adds variables of its own.
                try FileManager.default.copyItem(atPath: "/usr/bin/env", toPath: bench.plugins + "/show")
                try FileManager.default.copyItem(atPath: "/usr/bin/env", toPath: bench.plugins + "/more")
                try bench.policy(
                    "more",
                    "timeout: 0\nenvironment: {COLOUR: \"blue \\\"x\\\"\", EMPTY: \"\", LANG: de_DE.UTF-8}\n"
                )
            } _: { bench in
                func variables(_ type: String) async throws -> (task: JSONValue, [String: String]) {
                    let (task, text) = try await bench.output(of: type)
                    let pairs = text.split(separator: "\n").map { line in
                        let name = line.prefix { $0 != "=" }
                        return (String(name), String(line.dropFirst(name.count + 1)))
                    }
                    return (task, Dictionary(uniqueKeysWithValues: pairs))
                }
                let (task, plain) = try await variables("show")
                let scratch = try #require(plain["BULKHEAD_SCRATCH"])
                let deadline = try #require(task.milliseconds("startedAt")) + 3_600_000
                #expect(
                    plain == [
                        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                        "LANG": "C.UTF-8", "HOME": scratch, "TMPDIR": scratch, "BULKHEAD_SCRATCH": scratch,
                        "BULKHEAD_TASK_ID": task.text("id"), "BULKHEAD_TASK_TYPE": "show",
                        "BULKHEAD_RUN": "1", "BULKHEAD_ATTEMPT": "1", "BULKHEAD_EVENTS_FD": "3",
                        "BULKHEAD_PLUGIN_DIR": bench.plugins,
                        "BULKHEAD_DEADLINE": Timestamp(milliseconds: deadline).description,
                    ]
                )
                #expect(scratch.hasPrefix(bench.folder + "/scratch/"))
                let (_, more) = try await variables("more")
                #expect(
                    more["COLOUR"] == "blue \"x\"" && more["EMPTY"] == "" && more["LANG"] == "de_DE.UTF-8"
                )
                #expect(more["BULKHEAD_DEADLINE"] == nil && more.count == plain.count + 1)
            }
        }

        @Test("arguments are the policy's, the name is the copy that was checked", .timeLimit(.minutes(5)))
        func arguments() async throws {
            try await Workbench.serving { bench in
                try bench.handler("args.sh", #"printf '%s\n' "$#" "$0" "$@"; cat -- "$0" | head -1"#)
                try bench.policy("args", #"arguments: [--fast, "two words", "", "$HOME `id`"]"# + "\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "args")
                let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                let digest = task["attempts"]?.array?.first?.text("handler") ?? "?"
                #expect(lines.first == "4" && lines[1].hasSuffix("/handlers/\(digest)/args.sh"))
                #expect(lines[2...] == ["--fast", "two words", "", "$HOME `id`", "#!/bin/sh", ""])
            }
        }

        @Test(
            "the working folder is private, writable, and gone afterwards with all that is in it",
            .timeLimit(.minutes(5))
        )
        func scratch() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "work",
                    """
                    pwd; stat -c '%a %u' .; id -u; ls -A | wc -l
                    mkdir -p a/b/c && echo x > a/b/c/file && ln -s /etc link && chmod 000 a/b
                    echo program > run; chmod 755 run; [ -x run ] && echo written
                    """
                )
                try bench.gatedHandler("hold", "pwd; gate go")
            } _: { bench in
                let (task, text) = try await bench.output(of: "work")
                let lines = text.split(separator: "\n").map(String.init)
                #expect(task.text("status") == "completed" && lines.count == 5)
                #expect(lines[1] == "700 \(lines[2])" && lines[3] == "0" && lines[4] == "written")
                #expect(
                    try await bench.eventually { !FileManager.default.fileExists(atPath: lines[0]) },
                    "a folder that its own user closed is removed all the same"
                )
                #expect(FileManager.default.fileExists(atPath: "/etc/passwd"), "no link is followed")

                // Another attempt's folder is closed while it is there.
                let held = try await bench.submit("hold")
                #expect(try await bench.eventually { try await !bench.bulkhead("logs", held).out.isEmpty })
                let folder = try await bench.bulkhead("logs", held).out.dropLast()
                try bench.handler(
                    "peek",
                    "ls '\(folder)' 2>&1 && echo seen; echo > '\(folder)/x' && echo written; :"
                )
                #expect(try await bench.eventually { try await bench.isUsable("peek") })
                let peek = try await bench.output(of: "peek").text
                let isClosed = peek.contains("denied") || peek.contains("No such file")
                #expect(isClosed && !peek.contains("seen") && !peek.contains("written"), "\(peek)")
                try bench.open("go")
                #expect(try await bench.ended(held).text("status") == "completed")
                #expect(try await bench.eventually { bench.scratchFolders.isEmpty })
            }
        }

        @Test("nothing is inherited but stdin, stdout, stderr and fd 3", .timeLimit(.minutes(5)))
        func inherited() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "descriptors",
                    """
                    #!/usr/bin/env python3
                    import os, signal
                    open_now = []
                    for number in range(4096):
                        try:
                            os.fstat(number)
                            open_now.append(number)
                        except OSError:
                            pass
                    print(open_now)
                    print(os.getsid(0) == os.getpid() == os.getpgrp())
                    print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
                    ignored = [s for s in range(1, 32) if signal.getsignal(s) is signal.SIG_IGN]
                    # Python itself ignores these two.
                    print([s for s in ignored if s not in (signal.SIGPIPE, signal.SIGXFSZ)])
                    print(oct(os.umask(0)))
                    """
                )
            } _: { bench in
                let text = try await bench.output(of: "descriptors").text
                #expect(text == "[0, 1, 2, 3]\nTrue\n[]\n[]\n0o22\n")
            }
        }

        // MARK: Limits

        @Test("limits.cpu ends the whole tree as a timeout that says cpu", .timeLimit(.minutes(5)))
        func cpu() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("spin", policy: "limits: {cpu: 500ms}\ngrace: 2s\n")
            } _: { bench in
                let task = try await bench.finished("spin")
                #expect(task.text("status") == "failed" && task.reason == "timeout")
                #expect(task.message.contains("cpu") && task.message.contains("500ms"))
                let used = try #require(task["usage"]?["cpuSeconds"]?.double)
                #expect((0.5..<5).contains(used))
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test("limits.file-size and limits.open-files hold", .timeLimit(.minutes(5)))
        func files() async throws {
            try await Workbench.serving { bench in
                try bench.handler("large", "exec head -c 3000000 /dev/zero > file")
                try bench.policy("large", "limits: {file-size: 1MiB}\n")
                try bench.handler("enough", "head -c 1048576 /dev/zero > file && stat -c %s file")
                try bench.policy("enough", "limits: {file-size: 1MiB}\n")
                try bench.handler(
                    "many",
                    "#!/bin/bash\nulimit -Sn; ulimit -Hn; exec 15</dev/null && echo ok; exec 16</dev/null; exit 9"
                )
                try bench.policy("many", "limits: {open-files: 16}\n")
            } _: { bench in
                let large = try await bench.finished("large")
                #expect(large.reason == "signal" && large["error"]?.text("signal") == "SIGXFSZ")
                #expect(try await bench.output(of: "enough").text == "1048576\n")
                let (many, text) = try await bench.output(of: "many")
                #expect(text == "16\n16\nok\n" && many["error"]?["exitCode"] == 9)
            }
        }

        @Test(
            "limits.memory ends the handler alone, with the reason memory",
            .timeLimit(.minutes(5)),
            .enabled(if: canLimitMemory, "needs a memory cgroup that we may use")
        )
        func memory() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour(
                    "hog-memory",
                    policy: "limits: {memory: 64MiB}\nretry: {limit: 1, delay: 1ms}\n"
                )
                try bench.handler("modest", "echo fine")
                try bench.policy("modest", "limits: {memory: 64MiB}\n")
            } _: { bench in
                let task = try await bench.finished("hog-memory")
                #expect(task.text("status") == "failed" && task.reason == "memory")
                #expect(task.message.contains("64MiB") && task["attempt"] == 2)
                #expect(task["attempts"]?.array?.last?["enforcement"]?.text.contains("cgroup") == true)
                #expect(try await bench.output(of: "modest").text == "fine\n")
                #expect(try await bench.answer("status").text("phase") == "ready")
            }
        }

        @Test(
            "limits.processes bounds a fork bomb, and nothing of it is left",
            .timeLimit(.minutes(5)),
            .enabled(if: canLimitProcesses, "needs a pids cgroup that we may use")
        )
        func processes() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("fork-many", policy: "limits: {processes: 16}\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "fork-many")
                #expect(task.text("status") == "completed")
                #expect(text == "15 children, then Resource temporarily unavailable\n")
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test(
            "a limit that this host cannot hold is refused, or warned of under best-effort",
            .timeLimit(.minutes(5)),
            .enabled(if: hasNoMemoryController, "needs a host without a memory cgroup that we may use")
        )
        func noCgroup() async throws {
            try await Workbench.serving { bench in
                for (type, sandbox) in [("strict", "{}"), ("lax", "{enforcement: best-effort}")] {
                    try bench.handler(type, "exit 0")
                    try bench.policy(type, "limits: {memory: 64MiB}\nsandbox: \(sandbox)\n")
                }
            } _: { bench in
                let strict = try await bench.finished("strict")
                #expect(strict.reason == "launch-failed" && strict.message.contains("limits.memory"))
                #expect(strict["error"]?.text("hint").contains("best-effort") == true)
                let lax = try await bench.finished("lax")
                #expect(lax.text("status") == "completed" && lax.warnings.contains("limits.memory"))
            }
        }
    }
}
