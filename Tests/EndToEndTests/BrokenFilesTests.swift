import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// Handlers and policies that are wrong: told by name, refused, no harm to others, and mended without a
    /// restart.
    @Suite("Broken files")
    struct BrokenFilesTests {
        // MARK: Handlers

        /// A file in the plugins folder that is wrong, and what is said about it.
        private struct BrokenHandler: Sendable {
            var type: String
            var words: String
            var make: @Sendable (Workbench) throws -> Void
        }

        private static func file(
            _ type: String,
            _ content: String,
            mode: Int = 0o755,
            _ words: String
        ) -> BrokenHandler {
            BrokenHandler(type: type, words: words) {
                try $0.write(content, to: "plugins/" + type, mode: mode)
            }
        }

        private static func link(_ type: String, to target: String, _ words: String) -> BrokenHandler {
            BrokenHandler(type: type, words: words) { bench in
                try FileManager.default.createSymbolicLink(
                    atPath: bench.plugins + "/" + type,
                    withDestinationPath: target
                )
            }
        }

        private static let script = "#!/bin/sh\necho hello\n"

        private static let brokenHandlers: [BrokenHandler] = [
            file("plain", script, mode: 0o644, "is not executable (mode 0644); run chmod +x "),
            file("no-interpreter", "#!/nonexistent/python\n", "needs the interpreter /nonexistent/python"),
            file(
                "no-env",
                "#!/usr/bin/env no-such-program\n",
                #"needs "no-such-program", which is in none of"#
            ),
            file("broken-elf", "\u{7f}ELF\u{2}\u{1}\u{1}", "is a broken ELF file"),
            file("empty", "", "is empty"),
            file(
                "world-writable",
                script,
                mode: 0o777,
                "is writable by everybody (mode 0777); run chmod go-w "
            ),
            file("group-writable", script, mode: 0o775, "is writable by group"),
            link("broken-link", to: "nowhere", "is a link to"),
            link("open-link", to: "../open-target", "is writable by everybody"),
            link("circle", to: "circle", "Too many levels of symbolic links"),
            BrokenHandler(type: "pipe", words: "is no regular file") { bench in
                try #require(unsafe mkfifo(bench.plugins + "/pipe", 0o755) == 0)
            },
            BrokenHandler(
                type: "two",
                words: "plugins/two.py and plugins/two.sh give the same task type; keep one"
            ) {
                try $0.handler("two.sh", script)
                try $0.handler("two.py", script)
            },
        ]

        @Test(
            "a broken handler is told, refused, harms no other, and runs as soon as it is mended",
            .timeLimit(.minutes(5))
        )
        func handlers() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "echo fine")
                try bench.write(Self.script, to: "open-target", mode: 0o777)
            } _: { bench in
                for broken in Self.brokenHandlers { try broken.make(bench) }
                for broken in Self.brokenHandlers {
                    try await Self.expectRefused(broken.type, broken.words, bench)
                }
                #expect(try await bench.output(of: "good").text == "fine\n")
                let listed = try await bench.bulkhead("plugins")
                #expect(Self.brokenHandlers.allSatisfy { listed.out.contains($0.type) })
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array?.count == 1)

                try FileManager.default.removeItem(atPath: bench.plugins + "/two.py")
                try FileManager.default.removeItem(atPath: bench.plugins + "/two.sh")
                for broken in Self.brokenHandlers { try bench.handler(broken.type, "echo mended") }
                for broken in Self.brokenHandlers {
                    #expect(
                        try await bench.eventually { try await bench.isUsable(broken.type) },
                        "\(broken.type)"
                    )
                    #expect(try await bench.output(of: broken.type).text == "mended\n", "\(broken.type)")
                }
            }
        }

        @Test(
            "files whose names give no task type are told, and what is no handler is passed over",
            .timeLimit(.minutes(5))
        )
        func names() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "echo fine")
            } _: { bench in
                for name in ["Bad_Name", "pools", "-dash", "a.b.sh"] { try bench.handler(name, "echo x") }
                for name in ["README.md", "notes.txt", "good~", ".hidden"] {
                    try bench.write("no handler", to: "plugins/" + name)
                }
                func reports() async throws -> [JSONValue] {
                    try await bench.answer("plugins")["plugins"]?.array ?? []
                }
                #expect(try await bench.eventually { try await reports().count == 5 })
                for (name, words) in [
                    ("Bad_Name", #""Bad_Name" is not a task type; rename the file"#),
                    ("pools", "policies/pools.yaml holds the pools"),
                    ("-dash", #""-dash" is not a task type"#),
                    ("a.b.sh", #""a.b" is not a task type"#),
                ] {
                    let report = try await reports().first { $0.text("file").hasSuffix("plugins/" + name) }
                    #expect(report?["usable"]?.bool == false)
                    #expect(report?.problems.contains(words) == true, "\(name): \(report?.problems ?? "")")
                }
                #expect(try await bench.output(of: "good").text == "fine\n")
            }
        }

        @Test(
            "a folder that everybody can write refuses all that lies in it, until it is closed",
            .timeLimit(.minutes(5))
        )
        func openFolders() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "echo fine")
                try bench.policy("good", "timeout: 5s\n")
            } _: { bench in
                for folder in [bench.plugins, bench.policies] {
                    try #require(unsafe chmod(folder, 0o777) == 0)
                    try await Self.expectRefused(
                        "good",
                        "\(folder) is writable by everybody (mode 0777)",
                        bench
                    )
                    try #require(unsafe chmod(folder, 0o755) == 0)
                    #expect(try await bench.eventually { try await bench.isUsable("good") })
                    #expect(try await bench.output(of: "good").text == "fine\n")
                }
            }
        }

        @Test("a handler that is a link runs, and its target's change is taken up", .timeLimit(.minutes(5)))
        func linkedHandler() async throws {
            try await Workbench.serving { bench in
                try FileManager.default.createDirectory(
                    atPath: bench.folder + "/elsewhere",
                    withIntermediateDirectories: false,
                    attributes: [.posixPermissions: 0o755]
                )
                try bench.write("#!/bin/sh\necho one\n", to: "elsewhere/real", mode: 0o755)
                try Self.link("linked", to: "../elsewhere/real", "").make(bench)
            } _: { bench in
                #expect(try await bench.output(of: "linked").text == "one\n")
                try bench.write("#!/bin/sh\necho two\n", to: "elsewhere/real", mode: 0o755)
                #expect(try await bench.eventually { try await bench.output(of: "linked").text == "two\n" })
            }
        }

        @Test("a handler whose interpreter is installed later runs then, untouched", .timeLimit(.minutes(5)))
        func lateInterpreter() async throws {
            try await Workbench.serving { bench in
                let interpreter = bench.folder + "/tools/shell"
                try bench.handler("late", "#!\(interpreter)\necho at last\n")
                try await Self.expectRefused("late", "needs the interpreter \(interpreter)", bench)
                try FileManager.default.createDirectory(
                    atPath: bench.folder + "/tools",
                    withIntermediateDirectories: false,
                    attributes: [.posixPermissions: 0o755]
                )
                try FileManager.default.copyItem(atPath: "/bin/dash", toPath: interpreter)
                #expect(try await bench.eventually { try await bench.isUsable("late") })
                #expect(try await bench.output(of: "late").text == "at last\n")
            }
        }

        @Test(
            "a handler or policy that goes before a task's turn fails that task alone",
            .timeLimit(.minutes(5))
        )
        func goneBeforeItsTurn() async throws {
            try await Workbench.serving { bench in
                try bench.policy("pools", "one: {concurrency: 1}\n")
                try bench.gatedHandler("holder", "gate go", policy: "pool: one\n")
                for type in ["goes", "breaks", "stays"] {
                    try bench.handler(type, "echo fine")
                    try bench.policy(type, "pool: one\n")
                }
            } _: { bench in
                let holder = try await bench.submit("holder")
                #expect(try await bench.waits(for: holder, toBe: .running))
                let goes = try await bench.submit("goes", params: #"{"keep":1}"#)
                let breaks = try await bench.submit("breaks")
                let stays = try await bench.submit("stays")
                try FileManager.default.removeItem(atPath: bench.plugins + "/goes")
                try bench.policy("breaks", "pool: one\ntimeout: -5s\n")
                #expect(
                    try await bench.eventually {
                        let (gone, broken) = (
                            try await bench.plugin("goes"), try await bench.isUsable("breaks")
                        )
                        return gone == nil && !broken
                    }
                )
                #expect(try await bench.task(goes).text("status") == "queued", "its turn has not come")
                try bench.open("go")
                let gone = try await bench.ended(goes)
                #expect(gone.text("status") == "failed" && gone.reason == "no-handler", "\(gone.text)")
                #expect(gone.message.contains("no handler for goes"))
                #expect(gone["attempt"]?.integer == 0 && gone["params"]?["keep"]?.integer == 1)
                let broken = try await bench.ended(breaks)
                #expect(
                    broken.text("status") == "failed" && broken.reason == "policy-invalid",
                    "\(broken.text)"
                )
                #expect(broken.message.contains("policies/breaks.yaml:2:10"))
                #expect(try await bench.ended(stays).text("status") == "completed")
                #expect(try await bench.ended(holder).text("status") == "completed")
                #expect(try await bench.pool("one")?["failures"]?.integer == 0, "the pool did not fail")

                try bench.handler("goes", "echo back")
                #expect(try await bench.eventually { try await bench.isUsable("goes") })
                let again = try await bench.finished("goes", params: #"{"keep":1}"#, id: goes)
                #expect(again.text("status") == "completed" && again["run"]?.integer == 2)
            }
        }

        /// Waits until a type shows a problem, and checks that a submit of it is refused with the same words.
        static func expectRefused(
            _ type: String,
            _ words: String,
            _ bench: Workbench,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let isTold = try await bench.eventually {
                try await bench.plugin(type)?.problems.contains(words) == true
            }
            let problems = try await bench.plugin(type)?.problems ?? "nothing"
            #expect(isTold, "\(type): \(problems)", sourceLocation: sourceLocation)
            let body = JSONValue.object(["type": .string(type)])
            try await bench.api("POST", "/v1/tasks", body)
                .expectProblem(422, "type-refused", words, sourceLocation: sourceLocation)
            let refused = try await bench.bulkhead("submit", type)
            #expect(
                refused.code == 4 && refused.out.isEmpty && refused.err.contains(words),
                "\(refused)",
                sourceLocation: sourceLocation
            )
        }
    }
}

extension JSONValue {
    /// What `plugins --json` says is wrong, one problem a line.
    var problems: String { (self["problems"]?.array ?? []).compactMap(\.string).joined(separator: "\n") }
}
