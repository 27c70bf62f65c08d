import BulkheadCore
import Foundation
import Glibc
import SmallDisk
import Testing

extension EndToEnd {
    /// A supervisor that cannot start says why and how to mend it, ends with its exit code, and hurts nothing.
    @Suite("Bad start")
    struct BadStartTests {
        private static func expectNoStart(
            _ bench: Workbench,
            _ arguments: [String],
            code: Int32,
            _ words: String...,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let ended = try await bench.launchServer(arguments).result()
            #expect(ended.code == code && ended.out.isEmpty, "\(ended.err)", sourceLocation: sourceLocation)
            #expect(ended.err.hasPrefix("bulkhead: "), "\(ended.err)", sourceLocation: sourceLocation)
            for word in words {
                #expect(ended.err.contains(word), "\(ended.err)", sourceLocation: sourceLocation)
            }
        }

        // MARK: Two of them

        @Test(
            "a second supervisor on one state folder does not start and does not touch the first",
            .timeLimit(.minutes(5))
        )
        func twoOnOneState() async throws {
            try await Workbench.serving { bench in
                try bench.handler("checksum", "echo fine")
            } _: { bench in
                _ = try await bench.finished("checksum")
                let before = try await bench.api("GET", "/v1/tasks").text
                let pid = try #require(try await bench.answer("status")["pid"]?.integer)
                let other = bench.folder + "/other.sock"
                for arguments in [[], ["--listen", "unix:" + other]] {
                    try await Self.expectNoStart(
                        bench,
                        arguments,
                        code: 69,
                        "the state folder \(bench.state) is taken by another supervisor (pid \(pid))",
                        "kill \(pid)"
                    )
                }
                #expect(!FileManager.default.fileExists(atPath: other))
                #expect(try await bench.api("GET", "/v1/tasks").text == before)
                #expect(try await bench.finished("checksum").text("status") == "completed")
            }
        }

        @Test(
            "of two supervisors that start at once on one state folder exactly one does",
            .timeLimit(.minutes(5))
        )
        func race() async throws {
            let bench = try Workbench()
            let starts = try (0..<4).map { _ in try bench.launchServer() }
            var ready: [ChildProcess] = []
            for start in starts where await start.says("ready") { ready.append(start) }
            #expect(ready.count == 1)
            for start in starts where !ready.contains(where: { $0 === start }) {
                let ended = await start.result()
                #expect(ended.code == 69 && ended.err.contains("taken by another supervisor"), "\(ended.err)")
            }
            #expect(try await bench.answer("status").text("phase") == "ready")
            for server in ready { #expect(await bench.stop(server).code == 0) }
        }

        // MARK: The socket

        @Test("a socket on which another server answers is not taken from it", .timeLimit(.minutes(5)))
        func takenSocket() async throws {
            let bench = try Workbench()
            let path = bench.folder + "/foreign.sock"
            let foreign = try ForeignServer(at: path)
            defer { withExtendedLifetime(foreign) {} }
            let before = try Self.identity(of: path)
            try await Self.expectNoStart(
                bench,
                ["--listen", "unix:" + path],
                code: 70,
                "process \(getpid()) answers on \(path) already",
                "--listen unix:PATH"
            )
            #expect(try Self.identity(of: path) == before)
            close(try APICall(socket: path).connected())
        }

        private static func identity(of path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int)
        }

        @Test(
            "a supervisor's socket is not taken from it by one on another state folder",
            .timeLimit(.minutes(5))
        )
        func takenFromSupervisor() async throws {
            try await Workbench.serving { bench in
                let pid = try #require(try await bench.answer("status")["pid"]?.integer)
                let other = try Workbench()
                try await Self.expectNoStart(
                    other,
                    ["--listen", "unix:" + bench.socket],
                    code: 70,
                    "process \(pid) answers on \(bench.socket) already"
                )
                #expect(try await bench.answer("status")["pid"]?.integer == pid)
            }
        }

        @Test("a socket that nobody answers on any more is replaced", .timeLimit(.minutes(5)))
        func deadSocket() async throws {
            let bench = try Workbench()
            try FileManager.default.createDirectory(
                atPath: bench.state,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700]
            )
            _ = try ForeignServer(at: bench.socket)
            #expect(FileManager.default.fileExists(atPath: bench.socket))
            try await bench.serving { bench throws in
                #expect(try await bench.answer("status").text("phase") == "ready")
            }
            #expect(!FileManager.default.fileExists(atPath: bench.socket), "it is removed at the end")
        }

        @Test("a socket's path that cannot be one is refused", .timeLimit(.minutes(5)))
        func wrongSocket() async throws {
            let bench = try Workbench()
            let long = bench.folder + "/" + String(repeating: "x", count: 108)
            try await Self.expectNoStart(
                bench,
                ["--listen", "unix:" + long],
                code: 2,
                "has \(long.utf8.count) bytes, the system takes 107",
                "give a shorter one"
            )
            try bench.write("precious", to: "file")
            try await Self.expectNoStart(
                bench,
                ["--listen", "unix:" + bench.folder + "/file"],
                code: 70,
                "something else than a socket"
            )
            #expect(try String(contentsOfFile: bench.folder + "/file", encoding: .utf8) == "precious")
            try await Self.expectNoStart(
                bench,
                ["--listen", "unix:" + bench.folder + "/no/where.sock"],
                code: 70,
                "the socket's folder does not exist: \(bench.folder)/no"
            )
            try await Self.expectNoStart(bench, ["--listen", "unix:"], code: 2, "--listen=unix: (flag)")
        }

        // MARK: The state folder

        @Test(
            "a state folder that is open to others, or none, is refused and stays as it is",
            .timeLimit(.minutes(5))
        )
        func wrongState() async throws {
            let bench = try Workbench()
            try FileManager.default.createDirectory(
                atPath: bench.state,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o755]
            )
            try await Self.expectNoStart(
                bench,
                [],
                code: 2,
                "the state folder \(bench.state) is open to others (mode 0755)",
                "chmod 0700 "
            )
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.state).isEmpty)
            try FileManager.default.removeItem(atPath: bench.state)
            try bench.write("precious", to: "state")
            try await Self.expectNoStart(bench, [], code: 2, "\(bench.state) is a file, not a folder")
            #expect(try String(contentsOfFile: bench.state, encoding: .utf8) == "precious")
        }

        @Test(
            "a state folder that cannot be written is refused, as an ordinary user",
            .enabled(if: geteuid() != 0, "needs an ordinary user: root may write everywhere"),
            .timeLimit(.minutes(5))
        )
        func readOnlyMode() async throws {
            let bench = try Workbench()
            try FileManager.default.createDirectory(
                atPath: bench.state,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o500]
            )
            try await Self.expectNoStart(
                bench,
                [],
                code: 70,
                "the state folder \(bench.state) cannot be written: Permission denied",
                "--state"
            )
            try await Self.expectNoStart(
                bench,
                ["--state", "/proc/x"],
                code: 2,
                "the state folder /proc/x cannot be made"
            )
        }

        @Test(
            "a state folder that cannot be written is refused, and its tasks are there once it can",
            .enabled(if: SmallDisk.mayMount, "needs root and CAP_SYS_ADMIN, to mount a file system"),
            .timeLimit(.minutes(5))
        )
        func readOnlyMount() async throws {
            let bench = try Workbench()
            try await SmallDisk.mounted(at: bench.state, bytes: 64 << 20) { disk in
                try bench.handler("checksum", "echo fine")
                var id = ""
                try await bench.serving { id = try await $0.finished("checksum").text("id") }
                try disk.remount(readOnly: true)
                try await Self.expectNoStart(
                    bench,
                    [],
                    code: 70,
                    "the state folder \(bench.state) cannot be written: Read-only file system",
                    "--state"
                )
                try await Self.expectNoStart(
                    bench,
                    ["--state", bench.state + "/new"],
                    code: 2,
                    "cannot be made: Read-only file system",
                    "--state"
                )
                try disk.remount(readOnly: false)
                try await bench.serving { bench throws in
                    #expect(try await bench.task(id).text("status") == "completed")
                }
            }
        }

        @Test(
            "a disk that is full at the first start is told, and with room all is as if it had never been",
            .enabled(if: SmallDisk.mayMount, "needs root and CAP_SYS_ADMIN, to mount a file system"),
            .timeLimit(.minutes(5)),
            arguments: [0, 32 << 10, 96 << 10]
        )
        func fullDisk(room: Int) async throws {
            let bench = try Workbench()
            try await SmallDisk.mounted(at: bench.state, bytes: 4 << 20) { disk in
                try bench.handler("checksum", "echo fine")
                try disk.fill(leaving: room)
                try await Self.expectNoStart(bench, [], code: 70, bench.state, "(")
                try disk.empty()
                var id = ""
                try await bench.serving { id = try await $0.finished("checksum").text("id") }
                #expect(!id.isEmpty)
                try await bench.serving { bench throws in
                    #expect(try await bench.task(id).text("status") == "completed")
                    #expect(try await bench.output(of: "checksum").text == "fine\n")
                }
            }
        }
    }
}
