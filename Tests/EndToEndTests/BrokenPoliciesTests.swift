import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Policies that are wrong refuse their types alone, with file, line, column and the nearest right word.
    @Suite("Broken policies")
    struct BrokenPoliciesTests {
        private struct BrokenPolicy {
            var type: String
            var text: String
            /// Line, column and the beginning of what is said there.
            var words: String
        }

        private static let broken: [BrokenPolicy] = [
            .init(
                type: "key",
                text: "timout: 5s\n",
                words: #"1:1: unknown key "timout"; did you mean "timeout"?"#
            ),
            .init(
                type: "inner-key",
                text: "pool: x\nsandbox:\n  presett: default\n",
                words: #"3:3: unknown key "presett"; did you mean "preset"?"#
            ),
            .init(
                type: "call",
                text: "sandbox: {syscalls: {allow: [ptrce]}}\n",
                words: #"1:30: sandbox.syscalls.allow: unknown system call "ptrce"; did you mean "ptrace"?"#
            ),
            .init(
                type: "group",
                text: "sandbox: {syscalls: {deny: [\"@netwrk-io\"]}}\n",
                words:
                    #"1:29: sandbox.syscalls.deny: unknown group "@netwrk-io"; did you mean "@network-io"?"#
            ),
            .init(type: "negative", text: "timeout: -5s\n", words: #"1:10: timeout: "-5s" is negative"#),
            .init(type: "unit", text: "grace: 5\n", words: #"1:8: grace: "5" is not a duration"#),
            .init(type: "anchor", text: "description: &a x\n", words: "1:14: anchors (&) are not taken"),
            .init(type: "alias", text: "description: x\npool: *a\n", words: "2:7: aliases (*) are not taken"),
            .init(
                type: "laughs",
                text: "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
                words: "2:8: aliases (*) are not taken"
            ),
            .init(type: "tag", text: "timeout: !!str 5s\n", words: "1:10: tags (!) are not taken"),
            .init(type: "merge", text: "<<: {timeout: 5s}\n", words: "1:1: "),
            .init(
                type: "twice",
                text: "timeout: 5s\npool: x\ntimeout: 6s\n",
                words: #"1:1: the key "timeout" is there twice"#
            ),
            .init(type: "documents", text: "timeout: 5s\n---\npool: x\n", words: "2:1: "),
            .init(type: "list", text: "- timeout\n", words: "1:1: "),
            .init(type: "empty", text: "# nothing yet\n", words: "the file is empty"),
            .init(
                type: "brackets",
                text: "arguments: " + String(repeating: "[", count: 100_000),
                words: "nests deeper than"
            ),
            .init(
                type: "braces",
                text: "limits: " + String(repeating: "{a: ", count: 50_000),
                words: "nests deeper than"
            ),
            .init(type: "dashes", text: String(repeating: "- ", count: 100_000), words: "nests deeper than"),
        ]

        @Test(
            "a broken policy refuses its type with the place of the mistake, and no other",
            .timeLimit(.minutes(5))
        )
        func policies() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "echo fine")
                for broken in Self.broken { try bench.handler(broken.type, "echo fine") }
                try bench.policy("good", "timeout: 5s\n")
            } _: { bench in
                for broken in Self.broken { try bench.policy(broken.type, broken.text) }
                for broken in Self.broken {
                    try await BrokenFilesTests.expectRefused(broken.type, broken.words, bench)
                    let place = "policies/\(broken.type).yaml"
                    #expect(try await bench.plugin(broken.type)?.problems.contains(place) == true)
                    let checked = try await bench.run(["policy", "check", place]).result()
                    #expect(checked.code == 1 && checked.out.contains(broken.words), "\(checked)")
                }
                #expect(try await bench.output(of: "good").text == "fine\n")
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array?.count == 1)
                for broken in Self.broken { try bench.policy(broken.type, "timeout: 5s\n") }
                for broken in Self.broken {
                    #expect(
                        try await bench.eventually { try await bench.isUsable(broken.type) },
                        "\(broken.type)"
                    )
                }
                #expect(try await bench.output(of: "brackets").text == "fine\n")
            }
        }

        @Test(
            "a policy file that others can write, is misnamed or has no handler is told",
            .timeLimit(.minutes(5))
        )
        func files() async throws {
            try await Workbench.serving { bench in
                for type in ["checksum", "open", "large", "late", "linked"] {
                    try bench.handler(type, "echo fine")
                }
            } _: { bench in
                try bench.write("timeout: 5s\n", to: "policies/open.yaml", mode: 0o666)
                try await BrokenFilesTests.expectRefused(
                    "open",
                    "is writable by everybody (mode 0666)",
                    bench
                )
                try bench.policy("large", "description: " + String(repeating: "x", count: 300 << 10))
                try await BrokenFilesTests.expectRefused("large", "is larger than 256KiB", bench)
                try bench.policy("late.yml", "timeout: 5s\n")
                try await BrokenFilesTests.expectRefused("late", "a policy is named late.yaml; rename", bench)
                try FileManager.default.createSymbolicLink(
                    atPath: bench.policies + "/linked.yaml",
                    withDestinationPath: "nowhere.yaml"
                )
                try await BrokenFilesTests.expectRefused("linked", "is a link to", bench)

                try bench.policy("chekcsum", "timeout: 5s\n")
                func stray() async throws -> JSONValue? {
                    let plugins = try await bench.answer("plugins")["plugins"]?.array
                    return plugins?.first { $0.text("file").hasSuffix("policies/chekcsum.yaml") }
                }
                #expect(try await bench.eventually { try await stray() != nil })
                #expect(try await stray()?["usable"]?.bool == false)
                #expect(
                    try await stray()?.problems == #"there is no handler chekcsum; did you mean "checksum"?"#
                )
                #expect(try await bench.output(of: "checksum").text == "fine\n")
            }
        }

        @Test("a pools file that is wrong refuses new starts and loses no task", .timeLimit(.minutes(5)))
        func pools() async throws {
            try await Workbench.serving { bench in
                try bench.policy("pools", "media: {concurrency: 1}\n")
                try bench.gatedHandler("job", "gate go; echo fine", policy: "pool: media\n")
            } _: { bench in
                let running = try await bench.submit("job", params: "1")
                #expect(try await bench.waits(for: running, toBe: .running))
                try bench.policy("pools", "media: {concurency: 2}\n")
                try await BrokenFilesTests.expectRefused(
                    "job",
                    #"policies/pools.yaml:1:9: "#,
                    bench
                )
                try bench.open("go")
                #expect(try await bench.ended(running).text("status") == "completed")
                try bench.policy("pools", "media: {concurrency: 2}\n")
                #expect(try await bench.eventually { try await bench.isUsable("job") })
                #expect(try await bench.pool("media")?["concurrency"]?.integer == 2)
                #expect(try await bench.output(of: "job", params: "2").text == "fine\n")
            }
        }
    }
}
