import BulkheadCore
import BulkheadLaunch
import Foundation
import Glibc
import Testing

extension HostileAttempts {
    /// A limit, what is tried against it, and what the handler hears, or the task ends with, where it holds.
    private struct Limit {
        let name: String
        let value: String
        let attempts: [JSONValue]
        var answers: [String] = []
        var reason = ""
        /// Whether every host holds it.
        var isEverywhere = false
    }

    private static let limits = [
        Limit(
            name: "open-files",
            value: "32",
            attempts: [["open-many", 4_096]],
            answers: ["EMFILE"],
            isEverywhere: true
        ),
        Limit(
            name: "file-size",
            value: "1MiB",
            attempts: [["write-large", 8_388_608], ["write-sparse", 1_099_511_627_776]],
            answers: ["EFBIG", "EFBIG"],
            isEverywhere: true
        ),
        Limit(name: "cpu", value: "300ms", attempts: [["spin"]], reason: "timeout", isEverywhere: true),
        Limit(
            name: "processes",
            value: "12",
            attempts: [["threads", 64], ["children", 64]],
            answers: ["EAGAIN", "EAGAIN"]
        ),
        Limit(name: "memory", value: "64MiB", attempts: [["memory", 268_435_456]], reason: "memory"),
        Limit(
            name: "scratch",
            value: "1MiB",
            attempts: [["write-many", 4_096], ["write-large", 8_388_608]],
            answers: ["ENOSPC", "ENOSPC"]
        ),
    ]

    /// Each limit that a policy names holds, or the launch is refused with its name and the way out.
    func limits() async throws {
        let policies = Self.limits.map { ("over-\($0.name)", "limits: {\($0.name): \($0.value)}\n") }
        try await Self.serving(self, Dictionary(uniqueKeysWithValues: policies)) { bench in
            for limit in Self.limits {
                let params = JSONValue.array(limit.attempts).text
                let (task, text) = try await bench.output(of: "over-\(limit.name)", params: params)
                if task.reason == "launch-failed" {
                    #expect(
                        !limit.isEverywhere && task.message.contains("limits.\(limit.name) cannot be held")
                    )
                    #expect(task["error"]?.text("hint").contains("best-effort") == true, "\(task.text)")
                    continue
                }
                #expect(task.reason == limit.reason, "\(limit.name): \(task.text)")
                let answers = text.split(separator: "\n").map(String.init)
                #expect(answers == limit.answers, "\(limit.name): \(task.text)")
            }
            #expect(bench.handlerProcesses.isEmpty)
        }
    }

    /// Neither a task nor the supervisor's own surroundings bring anything into a handler's environment.
    func environment() async throws {
        let bench = try Workbench(as: user, without: withheld)
        try bench.behaviour("hostile")
        let names = ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV"]
        let surroundings = ["PYTHONPATH": "/nowhere", "LD_LIBRARY_PATH": "/nowhere", "BASH_ENV": "/nowhere"]
        let server = try await bench.start(environment: surroundings)
        do {
            try await bench.waitsForHandler("hostile")
            let attempts = JSONValue.array(names.map { ["is-set", .string($0)] })
            var metadata = JSONObject()
            for name in names { metadata[name] = "/nowhere" }
            let task: JSONValue = ["type": "hostile", "params": attempts, "metadata": .object(metadata)]
            let id = try #require(try await bench.submitBatch([task]).first)
            _ = try await bench.ended(id)
            let text = try await bench.bulkhead("logs", id).out
            #expect(text == String(repeating: "ENOENT\n", count: names.count))
        } catch {
            await bench.crash(server)
            throw error
        }
        await bench.stop(server)
    }

    /// Escapes in output, progress and error are made visible on a terminal, in every verb.
    func terminal() async throws {
        let escape = #"\033]0;owned\007\033[2J\033[1;1Hfree"#
        try await Workbench.serving(as: user, without: withheld) { bench in
            let json = #"{"error":{"message":"\u001b[2Jbroken","hint":"\u009b2Jhint"}}"#
            try bench.handler(
                "paints",
                "printf '\(escape)'; printf '\(escape)' >&2; printf '%s\\n' '\(json)' >&3; exit 65"
            )
        } _: { bench in
            let id = try await bench.finished("paints").text("id")
            let onTerminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
            for verb in [["logs", id], ["show", id], ["list"], ["wait", id]] {
                let command = [Workbench.programs + "/bulkhead"] + verb + ["--socket", bench.socket]
                let said = try await ChildProcess(
                    "/usr/bin/python3",
                    ["-c", onTerminal] + command,
                    environment: ["PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8"],
                    folder: bench.folder
                ).result()
                for steering in ["\u{1b}]", "\u{1b}[2J", "\u{1b}[1;1H", "\u{7}", "\u{9b}"] {
                    #expect(!said.out.unicodeScalars.map(String.init).joined().contains(steering), "\(verb)")
                }
                #expect(!said.out.isEmpty, "\(verb): \(said)")
            }
            #expect(try await bench.bulkhead("logs", id).out.contains("\u{1b}[2J"), "a pipe gets the bytes")
        }
    }

    /// A handler that is swapped while tasks of it run: what ran is what the record says, and never what lies in a
    /// folder that others can write.
    func swaps() async throws {
        let texts = ["A", "B", "evil"].map { "#!/bin/sh\necho \($0)\n" }
        let digests = texts.map { SHA256.digest(Array($0.utf8)) }
        try await Workbench.serving(as: user, without: withheld) { bench in
            try bench.handler("swapped", texts[0])
            try FileManager.default.createDirectory(
                atPath: bench.folder + "/open",
                withIntermediateDirectories: false
            )
            #expect(unsafe chmod(bench.folder + "/open", 0o777) == 0)
            try bench.write(texts[2], to: "open/swapped", mode: 0o755)
        } _: { bench in
            var ids: [String] = []
            for turn in 1...4 {
                try bench.handler("swapped", texts[turn % 2])
                for _ in 0..<2 { ids.append(try await bench.submit("swapped")) }
                // The folder above goes for a moment, and another is in its place.
                _ = unsafe rename(bench.plugins, bench.folder + "/aside")
                _ = unsafe symlink(bench.folder + "/open", bench.plugins)
                try await Task.sleep(for: .milliseconds(40 * turn))
                _ = unsafe unlink(bench.plugins)
                _ = unsafe rename(bench.folder + "/aside", bench.plugins)
            }
            var ran: Set<String> = []
            for id in ids {
                let task = try await bench.ended(id)
                let text = try await bench.bulkhead("logs", id).out
                let digest = task["attempts"]?.array?.last?.text("handler") ?? ""
                switch text {
                case "A\n": #expect(digest == digests[0])
                case "B\n": #expect(digest == digests[1])
                default:
                    let reasons = ["no-handler", "plugin-changed", "policy-invalid", "launch-failed"]
                    #expect(text.isEmpty && reasons.contains(task.reason), "\(text) \(task.text)")
                }
                ran.insert(text)
            }
            #expect(!ran.contains("evil\n") && !ran.isDisjoint(with: ["A\n", "B\n"]))
        }
    }

    /// Whose a handler and the folders above it may be.
    func ownership() async throws {
        try await Workbench.serving(as: user, without: withheld) { bench in
            try bench.handler("job", "echo fine")
        } _: { bench in
            let path = bench.plugins + "/job"
            try await Self.expect(bench, isUsable: true)
            // A folder above, not the plugins folder itself.
            #expect(unsafe chmod(bench.folder, 0o777) == 0)
            try await Self.expect(bench, isUsable: false, "\(bench.folder) is writable by everybody")
            #expect(try await bench.bulkhead("submit", "job").code != 0)
            #expect(unsafe chmod(bench.folder, 0o1777) == 0)
            try await Self.expect(bench, isUsable: true)
            #expect(unsafe chmod(bench.folder, 0o755) == 0)
            #expect(unsafe chmod(path, 0o775) == 0)
            try await Self.expect(bench, isUsable: false, "writable by group")
            #expect(unsafe chmod(path, 0o755) == 0)
            try await Self.expect(bench, isUsable: true)
            guard isRoot else { return }
            for (file, words) in [(path, "belongs to"), (bench.plugins, "belongs to")] {
                #expect(unsafe lchown(file, 12_345, 12_345) == 0)
                try await Self.expect(bench, isUsable: false, words)
                #expect(unsafe lchown(file, 0, 0) == 0)
                try await Self.expect(bench, isUsable: true)
            }
            #expect(try await bench.output(of: "job").text == "fine\n")
        }
    }

    private static func expect(_ bench: Workbench, isUsable: Bool, _ words: String = "") async throws {
        var said = ""
        let isSo = try await bench.eventually {
            let plugin = try await bench.plugin("job")
            said = plugin?.text ?? ""
            return plugin?["usable"]?.bool == isUsable && (words.isEmpty || said.contains(words))
        }
        #expect(isSo, "\(words): \(said)")
    }

    /// Where nothing holds the files, nothing is launched, and the task says what is missing and what to do.
    func refusal() async throws {
        let lax = "sandbox: {enforcement: best-effort}\n"
        try await Self.serving(self, ["hostile": "", "lax": lax]) { bench in
            let strict = try await bench.finished("hostile", params: "[]")
            #expect((strict.text("status"), strict.reason) == ("failed", "launch-failed"), "\(strict.text)")
            #expect(strict.message.contains("this kernel has no Landlock"), "\(strict.text)")
            #expect(strict["error"]?.text("hint").contains("best-effort") == true)
            let lax = try await bench.finished("lax", params: "[]")
            #expect(lax.text("status") == "completed" && lax.warnings.contains("no Landlock"), "\(lax.text)")
        }
    }
}
