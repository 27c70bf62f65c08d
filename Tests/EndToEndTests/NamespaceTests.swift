import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// What a handler sees and reaches where it has namespaces.
    @Suite(
        "Namespaces",
        .enabled(if: hasNamespaces, "needs pid, mount and network namespaces and a new /proc")
    )
    struct NamespaceTests {
        @Test(
            "a handler sees its own processes, and no folder, route or peer that it is not given",
            .timeLimit(.minutes(5))
        )
        func view() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "looks",
                    """
                    cd /proc && ls -d [0-9]* | wc -l
                    sh -c 'tr "\\0" " " </proc/self/cmdline'; echo
                    for path in /run /home /root /var/log /sys '\(bench.state)' '\(bench.socket)' /etc/../srv; do
                        [ -e "$path" ] && echo "sees $path"
                    done
                    tail -n +2 /proc/net/route | wc -l
                    kill -9 -1
                    echo survived
                    """
                )
                try bench.handler(
                    "peer",
                    """
                    #!/usr/bin/env python3
                    import json, socket, sys
                    for kind, name in json.load(sys.stdin)["params"]:
                        s = socket.socket(socket.AF_UNIX)
                        try: s.connect("\\0" + name if kind == "abstract" else name); print("reached")
                        except OSError as error: print(error.strerror)
                    """
                )
                try bench.policy("peer", "sandbox: {syscalls: {allow: [socket, connect]}}\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "looks")
                let lines = text.split(separator: "\n").map(String.init)
                #expect(task.text("status") == "completed", "\(task.text) \(text)")
                #expect(lines.first.flatMap { Int($0) } ?? 99 < 8)
                #expect(lines.contains { $0.contains("/proc/self/cmdline") || $0.contains("tr ") })
                #expect(!text.contains("sees ") && lines.suffix(2) == ["0", "survived"], "\(text)")
                let held = task["attempts"]?.array?.first?["enforcement"]?.array?.compactMap(\.string) ?? []
                #expect(held.contains { $0.hasPrefix("namespaces ") && $0.hasSuffix("pid mount proc net") })
                #expect(task["warnings"]?.array?.isEmpty ?? true, "\(task.text)")

                let abstract = "bulkhead-test-\(UUID().uuidString)"
                let listener = try AbstractListener(abstract)
                defer { listener.close() }
                let params: JSONValue = [
                    ["abstract", .string(abstract)], ["path", .string(bench.socket)],
                ]
                let answers = try await bench.output(of: "peer", params: params.text).text
                #expect(answers == "Connection refused\nNo such file or directory\n")
            }
        }

        /// Whether a process with an argument lives.
        private static func isAnyLeft(_ mark: String) -> Bool {
            ProcessTable.all().contains { process in
                ProcessTable.text("/proc/\(process.pid)/cmdline")?.contains("\0" + mark) == true
            }
        }

        @Test("what a handler leaves behind ends with a launcher that is killed", .timeLimit(.minutes(5)))
        func killedLauncher() async throws {
            let mark = "left-\(UUID().uuidString)"
            try await Workbench.serving { bench in
                // Neither its session nor its parent nor its environment tells whose it is.
                try bench.handler(
                    "leaves",
                    "setsid -f setsid -f env -i /bin/sh -c 'echo up; sleep 1000; :' \(mark); exec sleep 1000"
                )
            } _: { bench in
                let id = try await bench.submit("leaves")
                #expect(try await bench.eventually { try await bench.bulkhead("logs", id).out == "up\n" })
                #expect(Self.isAnyLeft(mark))
                kill(try await bench.processes(of: id).launcher.pid, SIGKILL)
                #expect(try await bench.eventually { !Self.isAnyLeft(mark) })
                try await bench.expectNoHandlers(within: .seconds(5))
                #expect(try await bench.ended(id).text("status") == "interrupted")
            }
        }

        @Test(
            "limits.scratch bounds bytes and files, and leaves nothing behind",
            .timeLimit(.minutes(5))
        )
        func scratch() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "fills",
                    """
                    stat -c '%a %u' . ; id -u
                    truncate -s 1G sparse && echo sparse
                    head -c 8M /dev/zero 2>&1 > big | grep -o 'No space left'; rm -f big sparse
                    for i in $(seq 1000); do true 2>/dev/null > f$i || break; done; ls | wc -l
                    rm -f f*; cp /bin/true own && ./own && echo runs
                    """
                )
                try bench.policy("fills", "limits: {scratch: 1MiB}\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "fills")
                let lines = text.split(separator: "\n").map(String.init)
                #expect(task.text("status") == "completed" && lines.last == "runs")
                #expect(lines.count == 6 && lines[0] == "700 \(lines[1])", "\(text)")
                #expect(lines.dropFirst(2).prefix(2) == ["sparse", "No space left"])
                #expect((200...256).contains(lines.count > 4 ? Int(lines[4]) ?? 0 : 0), "\(text)")
                #expect(try await bench.eventually { bench.scratchFolders.isEmpty })
            }
        }

        @Test("python's pools and locks work, in a /dev/shm that is the task's own", .timeLimit(.minutes(5)))
        func sharedMemory() async throws {
            let mark = "bulkhead-\(UUID().uuidString)"
            try await Workbench.serving { bench in
                try bench.handler(
                    "pool",
                    """
                    #!/usr/bin/env python3
                    import multiprocessing, os
                    def square(n): return n * n
                    if __name__ == "__main__":
                        print(os.listdir("/dev/shm"))
                        open("/dev/shm/\(mark)", "w").write("x")
                        with multiprocessing.Lock(), multiprocessing.Pool(2) as pool: print(sum(pool.map(square, range(10))))
                    """
                )
            } _: { bench in
                for _ in 0..<2 {
                    let (task, text) = try await bench.output(of: "pool")
                    #expect(text == "[]\n285\n", "\(task.text)")
                }
                #expect(!FileManager.default.fileExists(atPath: "/dev/shm/\(mark)"))
            }
        }

        @Test(
            "unconfined sees the host's files, but neither the database nor other processes",
            .timeLimit(.minutes(5))
        )
        func unconfined() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "free",
                    """
                    [ -d /run ] && [ -d /home ] && echo host
                    ls -A '\(bench.state)' 2>/dev/null | wc -l; ls -A ..  2>/dev/null | wc -l
                    ls -d /proc/[0-9]* | wc -l; echo x > own && cat own; echo x > /dev/null && echo devices
                    """
                )
                try bench.policy("free", "sandbox: {preset: unconfined}\nuser: \(NSUserName())\n")
            } _: { bench in
                let lines = try await bench.output(of: "free").text.split(separator: "\n").map(String.init)
                #expect(
                    lines.prefix(3) == ["host", "0", "1"] && lines.suffix(2) == ["x", "devices"],
                    "\(lines)"
                )
                #expect(lines.count == 6 && Int(lines[3]) ?? 99 < 8)
            }
        }
    }
}

/// Somebody who listens on an abstract socket of the host.
private struct AbstractListener {
    private let socket: Int32

    init(_ name: String) throws {
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = [0] + Array(name.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, size)
            }
        }
        guard bound == 0, listen(socket, 4) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    }

    func close() { Glibc.close(socket) }
}
