import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// The handlers that come with Bulkhead, under the policies that come with them, on real files.
    @Suite("Handler")
    struct HandlerTests {
        private static let hasPoppler = isThere("pdftotext")
        private static let hasImageMagick = isThere("magick") || isThere("convert-im6.q16")

        private static func isThere(_ tool: String) -> Bool {
            ["/usr/bin/", "/bin/", "/usr/local/bin/"].contains {
                FileManager.default.isExecutableFile(atPath: $0 + tool)
            }
        }

        /// Brings a handler with its policy, changed as a user would who has folders of his own.
        private static func bring(
            _ type: String,
            to bench: Workbench,
            write: String? = nil,
            path: String? = nil
        ) throws {
            let plugins = Workbench.checkout + "/plugins"
            let files = try FileManager.default.contentsOfDirectory(atPath: plugins)
            let file = try #require(files.first { $0.hasPrefix(type + ".") })
            try FileManager.default.copyItem(atPath: "\(plugins)/\(file)", toPath: "\(bench.plugins)/\(file)")
            let policy = Workbench.checkout + "/policies/\(type).yaml"
            var text = try String(contentsOfFile: policy, encoding: .utf8)
            #expect(text.contains(#"read: ["/srv"]"#), "the policy of \(type) is not as this test knows it")
            text = text.replacing(#"read: ["/srv"]"#, with: "read: [\"\(bench.folder)/inbox\"]")
            if let write { text = text.replacing("write: []", with: "write: [\"\(write)\"]") }
            if let path {
                let line = "\nenvironment:\n  PATH: \"\(path)\"\n"
                text =
                    text.contains("\nenvironment:\n")
                    ? text.replacing("\nenvironment:\n", with: line) : text + line
            }
            try bench.policy(type, text)
        }

        /// A folder with the fixtures, and one that every user may write.
        private static func fill(_ bench: Workbench) throws {
            let source = Workbench.checkout + "/Tests/Fixtures/files"
            for (name, mode) in [("inbox", 0o755), ("outbox", 0o777), ("elsewhere", 0o777)] {
                let folder = "\(bench.folder)/\(name)"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: folder)
            }
            for file in try FileManager.default.contentsOfDirectory(atPath: source) {
                let copy = "\(bench.folder)/inbox/\(file)"
                try FileManager.default.copyItem(atPath: "\(source)/\(file)", toPath: copy)
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: copy)
            }
        }

        private static func run(
            _ bench: Workbench,
            _ type: String,
            _ params: JSONValue
        ) async throws -> JSONValue {
            try await bench.finished(type, params: params.text)
        }

        private static func file(_ bench: Workbench, _ name: String) -> JSONValue {
            .string("\(bench.folder)/inbox/\(name)")
        }

        // MARK: The four

        @Test("all of them are ready as they come, with their pools", .timeLimit(.minutes(5)))
        func asTheyCome() async throws {
            try await Workbench.serving { bench in
                for type in ["checksum", "extract-text", "thumbnail", "word-count"] {
                    try bench.productHandler(type)
                }
                try bench.copy("policies/pools.yaml")
            } _: { bench in
                let plugins = try await bench.answer("plugins")["plugins"]?.array ?? []
                #expect(plugins.map { $0.text("pool") }.sorted() == ["default", "default", "media", "media"])
                #expect(plugins.allSatisfy { $0["problems"] == nil && !$0.text("description").isEmpty })
                #expect(try await bench.pool("default")?["backoff"] != nil)
                let task = try await Self.run(bench, "checksum", ["path": "/etc/os-release"])
                #expect(task["result"]?.text("digest").count == 64, "\(task.text)")
                let words = try await Self.run(bench, "word-count", ["path": "/etc/passwd"])
                #expect(words.text("status") == "completed")
            }
        }

        @Test("checksum gives a file's SHA-256, under the policy as it comes", .timeLimit(.minutes(5)))
        func checksum() async throws {
            try await Workbench.serving { bench in
                try Self.fill(bench)
                try Self.bring("checksum", to: bench)
                try bench.write("", to: "inbox/ü \"quoted\" \\ name")
            } _: { bench in
                let picture = try await Self.run(bench, "checksum", ["path": Self.file(bench, "picture.jpg")])
                let sum = try await ChildProcess(
                    "/usr/bin/sha256sum",
                    ["picture.jpg"],
                    environment: [:],
                    folder: bench.folder + "/inbox"
                )
                .result()
                #expect(picture.text("status") == "completed")
                #expect(picture["result"]?.text("digest") == String(sum.out.prefix(64)))
                #expect(
                    picture["result"]?["bytes"] == 10_877 && picture["result"]?.text("algorithm") == "sha256"
                )
                let named = try await Self.run(
                    bench,
                    "checksum",
                    ["path": Self.file(bench, "ü \"quoted\" \\ name")]
                )
                #expect(
                    named["result"]?.text("digest")
                        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                )
                #expect(named["result"]?["path"] == Self.file(bench, "ü \"quoted\" \\ name"))
                for (params, word) in [
                    (["path": Self.file(bench, "missing")], "there is no file"), ([:], "params.path"),
                    (["path": "relative"], "absolute"), (["path": Self.file(bench, "")], "regular file"),
                ] as [(JSONValue, String)] {
                    try await Self.expectBadInput(bench, "checksum", params, word)
                }
            }
        }

        @Test("word-count counts a text, under compute", .timeLimit(.minutes(5)))
        func wordCount() async throws {
            try await Workbench.serving { bench in
                try Self.fill(bench)
                try Self.bring("word-count", to: bench)
            } _: { bench in
                let task = try await Self.run(
                    bench,
                    "word-count",
                    ["path": Self.file(bench, "words.txt"), "top": 3]
                )
                #expect(
                    task["result"] == [
                        "lines": 4, "words": 25, "characters": 140, "bytes": 144, "distinctWords": 20,
                        "top": [
                            ["word": "the", "count": 4], ["word": "dog", "count": 2],
                            ["word": "fox", "count": 2],
                        ],
                    ]
                )
                #expect(task["deniedSyscalls"] == nil, "compute gives python all that it asks for")
                let logs = try await bench.bulkhead("logs", task.text("id"))
                #expect(logs.out.hasPrefix("4 lines, 25 words, 140 characters\n"))
                let text = try await Self.run(bench, "word-count", ["text": "to be or not to be", "top": 1])
                #expect(text["result"]?["top"] == [["word": "be", "count": 2]])
                for (params, word) in [
                    (["path": Self.file(bench, "picture.png")], "not utf-8"), ([:], "either path or text"),
                    (["text": "x", "top": -1], "params.top"),
                    (["text": "x", "size": 1], "unknown params: size"),
                    (["path": "/etc/shadow"], "cannot read /etc/shadow"),
                ] as [(JSONValue, String)] {
                    try await Self.expectBadInput(bench, "word-count", params, word)
                }
            }
        }

        @Test(
            "extract-text gives a PDF's text, page by page",
            .timeLimit(.minutes(5)),
            .enabled(if: hasPoppler, "needs pdftotext: apt-get install poppler-utils")
        )
        func extractText() async throws {
            try await Workbench.serving { bench in
                try Self.fill(bench)
                try Self.bring("extract-text", to: bench, write: bench.folder + "/outbox")
                try bench.write("%PDF-1.4 that is all", to: "inbox/broken.pdf")
            } _: { bench in
                let path = Self.file(bench, "two-pages.pdf")
                let saved = bench.folder + "/outbox/text"
                let task = try await Self.run(bench, "extract-text", ["path": path, "save": .string(saved)])
                #expect(task.text("status") == "completed" && task["progress"]?["fraction"] == 1)
                let text = task["result"]?.text("text") ?? ""
                #expect(task["result"]?["pages"] == 2 && task["result"]?["truncated"] == false)
                #expect(text.contains(Self.firstPage) && text.contains(Self.secondPage))
                #expect(try await bench.bulkhead("logs", task.text("id")).out == text)
                #expect(try String(contentsOfFile: saved, encoding: .utf8) == text)

                let second = try await Self.run(bench, "extract-text", ["path": path, "firstPage": 2])
                let page = second["result"]?.text("text") ?? ""
                #expect(page.contains(Self.secondPage) && !page.contains(Self.firstPage))
                for (params, word) in [
                    (["path": Self.file(bench, "picture.png")], "is not a PDF"),
                    (["path": Self.file(bench, "broken.pdf")], "cannot read this PDF"),
                    (["path": path, "firstPage": 3], "no page 3"),
                ] as [(JSONValue, String)] {
                    try await Self.expectBadInput(bench, "extract-text", params, word)
                }
                let outside = ["path": path, "save": .string(bench.folder + "/elsewhere/text")] as JSONValue
                let refused = try await Self.run(bench, "extract-text", outside)
                #expect(refused["error"]?["exitCode"] == 78 && refused["attempt"] == 1)
                #expect(refused["error"]?.text("hint").contains("write folder") == true)
                #expect(!FileManager.default.fileExists(atPath: bench.folder + "/elsewhere/text"))
            }
        }

        private static let firstPage = "compartment tight.\nPage one of two."
        private static let secondPage = "A second page, with 42 rivets"

        @Test(
            "thumbnail makes a small picture, whatever program is called convert",
            .timeLimit(.minutes(5)),
            .enabled(if: hasImageMagick, "needs ImageMagick: apt-get install imagemagick")
        )
        func thumbnail() async throws {
            try await Workbench.serving { bench in
                try Self.fill(bench)
                try bench.write("#!/bin/sh\necho not a picture\n", to: "inbox/convert", mode: 0o755)
                let path = "\(bench.folder)/inbox:/usr/local/bin:/usr/bin:/bin"
                try Self.bring("thumbnail", to: bench, write: bench.folder + "/outbox", path: path)
                let half = try Data(contentsOf: URL(filePath: bench.folder + "/inbox/picture.png")).prefix(90)
                try half.write(to: URL(filePath: bench.folder + "/inbox/broken.png"))
            } _: { bench in
                let task = try await Self.run(bench, "thumbnail", ["path": Self.file(bench, "picture.jpg")])
                #expect(task.text("status") == "completed", "\(task.text)")
                let result = try #require(task["result"])
                #expect(result["width"] == 256 && result["height"] == 192)
                #expect(result.text("mediaType") == "image/jpeg")
                let data = try #require(Data(base64Encoded: result.text("data")))
                #expect(data.starts(with: [0xff, 0xd8, 0xff]) && data.suffix(2) == Data([0xff, 0xd9]))
                #expect(result["bytes"] == .integer(data.count))

                let saved = bench.folder + "/outbox/small.png"
                let second = try await Self.run(
                    bench,
                    "thumbnail",
                    [
                        "path": Self.file(bench, "picture.png"), "format": "png", "width": 64, "height": 64,
                        "save": .string(saved),
                    ]
                )
                #expect(second["result"]?.text("saved") == saved && second["result"]?["data"] == nil)
                let png = try Data(contentsOf: URL(filePath: saved))
                #expect(png.starts(with: [0x89, 0x50, 0x4e, 0x47]))
                // The picture's size stands in its header, big-endian: 64 × 48.
                #expect(Array(png[16..<24]) == [0, 0, 0, 64, 0, 0, 0, 48])
                let small = try await Self.run(
                    bench,
                    "thumbnail",
                    ["path": Self.file(bench, "transparent.png")]
                )
                #expect(small["result"]?["width"] == 40, "a picture is never made bigger")
                for (params, word) in [
                    (["path": Self.file(bench, "two-pages.pdf")], "not a JPEG, PNG, GIF or WebP"),
                    (["path": Self.file(bench, "broken.png")], "cannot read this picture"),
                    (["path": Self.file(bench, "picture.jpg"), "width": 0], "params.width"),
                ] as [(JSONValue, String)] {
                    try await Self.expectBadInput(bench, "thumbnail", params, word)
                }
            }
        }

        /// Bad input ends with 65, is said in words, and is not tried again.
        private static func expectBadInput(
            _ bench: Workbench,
            _ type: String,
            _ params: JSONValue,
            _ word: String
        ) async throws {
            let task = try await run(bench, type, params)
            #expect(task.text("status") == "failed" && task.reason == "exit")
            #expect(task["error"]?["exitCode"] == 65 && task["attempt"] == 1, "\(params.text): \(task.text)")
            #expect(task.message.contains(word), "\(params.text): \(task.message)")
            #expect(task["error"]?["retryable"] == false && task["error"]?["hint"] != nil)
        }

        // MARK: Missing tools

        @Test(
            "a missing tool is said with the package that brings it, and never tried again",
            .timeLimit(.minutes(5)),
            arguments: [
                ("checksum", "coreutils"), ("extract-text", "poppler-utils"), ("thumbnail", "imagemagick"),
            ]
        )
        func missingTool(type: String, package: String) async throws {
            try await Workbench.serving { bench in
                try Self.fill(bench)
                try Self.bring(type, to: bench, path: bench.folder + "/inbox")
            } _: { bench in
                let task = try await Self.run(bench, type, ["path": Self.file(bench, "picture.jpg")])
                #expect(task.text("status") == "failed" && task["attempt"] == 1)
                #expect(task["error"]?["exitCode"] == 78 && task.message.contains("is not installed"))
                #expect(task["error"]?.text("hint").contains("apt-get install \(package)") == true)
                #expect(task["error"]?["retryable"] == false)
            }
        }
    }
}
