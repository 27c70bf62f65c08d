import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Ordinary programs, which know nothing of a sandbox, run in it.
    @Suite("Ordinary programs")
    struct OrdinaryProgramTests {
        @Test(
            "python with threads and subprocesses, and bash pipelines run under default",
            .timeLimit(.minutes(5))
        )
        func interpreters() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "snake",
                    """
                    #!/usr/bin/env python3
                    import concurrent.futures, multiprocessing, sqlite3, ssl, subprocess, tempfile, threading
                    def square(n): return n * n
                    if __name__ == "__main__":
                        with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))
                        print(subprocess.run(["sort", "-r"], input="a\\nb\\n", capture_output=True, text=True).stdout.split())
                        print(subprocess.check_output("echo $((1 + 1)) | cat", shell=True, text=True).strip())
                        near, far = multiprocessing.Pipe(duplex=False)
                        child = multiprocessing.Process(target=lambda: far.send(square(3)))
                        child.start(); print(near.recv()); child.join()
                        with tempfile.NamedTemporaryFile("w+") as f: print(f.write("x"))
                        print(sqlite3.connect("db").execute("select 41 + 1").fetchone(), ssl.OPENSSL_VERSION_INFO[0] > 0)
                    """
                )
                try bench.handler(
                    "shell",
                    """
                    #!/bin/bash
                    set -euo pipefail
                    seq 1000 | awk '{ s += $1 } END { print s }' | tee total
                    diff <(printf 'a\\nb\\n' | sort -r) <(printf 'b\\na\\n') && echo same
                    find . -name total -print0 | xargs -0 -n1 basename
                    (sleep 0.01 & wait $!; echo waited) | tr a-z A-Z
                    tar cf - total | gzip | gunzip | tar tf -
                    [ "$(sed 's/./x/g' total)" = xxxxxx ] && timeout 5 env LC_ALL=C date -u -d @0 +%Y
                    """
                )
            } _: { bench in
                let (snake, squares) = try await bench.output(of: "snake")
                #expect(snake.text("status") == "completed", "\(snake.text)")
                #expect(squares == "328350\n['b', 'a']\n2\n9\n1\n(42,) True\n")
                let (shell, lines) = try await bench.output(of: "shell")
                #expect(shell.text("status") == "completed", "\(shell.text)")
                #expect(lines == "500500\nsame\ntotal\nWAITED\ntotal\n1970\n")
            }
        }

        @Test(
            "node with child processes and workers runs under default",
            .timeLimit(.minutes(5)),
            .needs("/usr/bin/node")
        )
        func node() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "script.js",
                    """
                    #!/usr/bin/env node
                    const { execFileSync, spawn } = require("child_process");
                    const { Worker } = require("worker_threads");
                    const fs = require("fs");
                    const input = JSON.parse(fs.readFileSync(0, "utf8"));
                    fs.writeFileSync("file", "x".repeat(input.params));
                    console.log(execFileSync("wc", ["-c", "file"]).toString().trim());
                    new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true })
                      .on("message", (n) => { console.log(n); fs.writeSync(3, JSON.stringify({ result: n }) + "\\n"); });
                    spawn("cat", ["file"]).stdout.on("data", (d) => console.error(d.length));
                    """
                )
            } _: { bench in
                let (task, text) = try await bench.output(of: "script", params: "5")
                #expect(task.text("status") == "completed", "\(task.text)")
                #expect(task["result"] == 42 && text == "5 file\n42\n")
            }
        }

        @Test(
            "a dynamically linked Swift program with Foundation runs under default",
            .timeLimit(.minutes(5))
        )
        func swift() async throws {
            // The command itself is one; it is copied to where every user may read it.
            let runtime = try #require(Self.folder(ofLibrary: "libswiftCore.so"))
            try await Workbench.serving { bench in
                let tools = bench.folder + "/tools"
                try FileManager.default.createDirectory(atPath: tools, withIntermediateDirectories: false)
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: tools)
                let program = URL(filePath: Workbench.programs + "/bulkhead").resolvingSymlinksInPath().path
                try FileManager.default.copyItem(atPath: program, toPath: tools + "/bulkhead")
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o755],
                    ofItemAtPath: tools + "/bulkhead"
                )
                // A read folder is for reading; what is executed lies in the scratch folder. Swift reads its arguments
                // from /proc/self, which is open to the handler's first process.
                try bench.handler(
                    "swift",
                    "cp '\(tools)/bulkhead' . && exec ./bulkhead policy show any --json"
                )
                try bench.policy(
                    "swift",
                    """
                    sandbox: {read: ["\(tools)", "\(runtime)"]}
                    environment: {LD_LIBRARY_PATH: "\(runtime)"}
                    """
                )
            } _: { bench in
                let (task, text) = try await bench.output(of: "swift")
                #expect(task.text("status") == "completed", "\(task.text)")
                #expect((try? JSONParser.parse(Array(text.utf8)))?.object != nil, "\(text) \(task.text)")
            }
        }

        @Test(
            "perl with fork, pipes and files runs under default",
            .timeLimit(.minutes(5)),
            .needs("/usr/bin/perl")
        )
        func perl() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "camel",
                    """
                    #!/usr/bin/perl
                    use strict; use warnings; use List::Util 'sum'; use File::Temp 'tempfile';
                    $| = 1;
                    my ($file, $name) = tempfile(); print $file "x" x 7; close $file;
                    print -s $name, "\\n", sum(1 .. 100), "\\n", `echo sub shell`;
                    open(my $sorted, '-|', "printf 'b\\na\\n' | sort") or die; print <$sorted>; close $sorted;
                    my $pid = fork(); if (!$pid) { print "child\\n"; exit 3 } waitpid($pid, 0); print $? >> 8, "\\n";
                    """
                )
            } _: { bench in
                let (task, text) = try await bench.output(of: "camel")
                #expect(task.text("status") == "completed", "\(task.text)")
                #expect(text == "7\n5050\nsub shell\na\nb\nchild\n3\n")
            }
        }

        @Test(
            "busybox and its applets run under default",
            .timeLimit(.minutes(5)),
            .needs("/usr/bin/busybox")
        )
        func busybox() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "box",
                    """
                    #!/usr/bin/busybox sh
                    set -e
                    busybox seq 3 | busybox awk '{ s += $1 } END { print s }' | busybox tee total
                    busybox tar cf a.tar total && busybox gzip a.tar && busybox zcat a.tar.gz | busybox tar tf -
                    busybox find . -name total -exec busybox wc -c {} \\;
                    (busybox sleep 0.01; echo slept) & wait
                    """
                )
            } _: { bench in
                let (task, text) = try await bench.output(of: "box")
                #expect(task.text("status") == "completed", "\(task.text)")
                #expect(text == "6\ntotal\n2 ./total\nslept\n")
            }
        }

        @Test(
            "java with threads runs under default, and compiled under compute",
            .timeLimit(.minutes(5)),
            .needs("/usr/bin/javac")
        )
        func java() async throws {
            let source = """
                import java.util.concurrent.*;
                public class Sum {
                    public static void main(String[] arguments) throws Exception {
                        var pool = Executors.newFixedThreadPool(4);
                        var parts = new java.util.ArrayList<Future<Long>>();
                        for (int i = 0; i < 4; i++) {
                            final int part = i;
                            parts.add(pool.submit(() -> { long s = 0; for (long n = part; n < 4000000; n += 4) s += n; return s; }));
                        }
                        long sum = 0;
                        for (var part : parts) sum += part.get();
                        pool.shutdown();
                        System.out.println(sum);
                    }
                }
                """
            try await Workbench.serving { bench in
                try bench.handler("coffee", "#!/usr/bin/env -S java -XX:+UseSerialGC --source 17\n" + source)
                // A compiled class needs no file channel, for which java makes a socket pair.
                try bench.write(source, to: "Sum.java")
                let compiler = try Process.run(
                    URL(filePath: "/usr/bin/javac"),
                    arguments: ["-d", bench.folder, bench.folder + "/Sum.java"]
                )
                compiler.waitUntilExit()
                #expect(compiler.terminationStatus == 0)
                try bench.handler(
                    "decaf",
                    "#!/usr/bin/env -S java -XX:+UseSerialGC -cp \(bench.folder) Sum\n"
                )
                try bench.policy(
                    "decaf",
                    "sandbox: {preset: compute, read: [\"\(bench.folder)/Sum.class\"]}\n"
                )
            } _: { bench in
                for type in ["coffee", "decaf"] {
                    let (task, text) = try await bench.output(of: type)
                    #expect(task.text("status") == "completed", "\(task.text)")
                    #expect(text == "7999998000000\n")
                }
            }
        }

        @Test(
            "python, node, bash and perl compute under compute, and start no other program",
            .timeLimit(.minutes(5))
        )
        func pureComputation() async throws {
            let programs = [
                (
                    "py", "python3",
                    "import hashlib, json, threading\nt = threading.Thread(target=lambda: print(hashlib.sha256(b'x').hexdigest()[:8], json.load(open(0))['params']))\nt.start(); t.join()"
                ),
                (
                    "sh", "bash",
                    "read -r task; a=(1 2 3); echo $(( a[0] + a[1] + a[2] )) ${#a[@]} ${task:0:2}"
                ),
                ("pl", "perl", "print join(',', map { $_ * $_ } 1 .. 4), \"\\n\";"),
                (
                    "js", "node",
                    "const t = JSON.parse(require('fs').readFileSync(0)); console.log([3, 1, 2].sort().join(), t.params)"
                ),
            ].filter { FileManager.default.isExecutableFile(atPath: "/usr/bin/" + $0.1) }
            try await Workbench.serving { bench in
                for (type, program, text) in programs {
                    try bench.handler("pure-" + type, "#!/usr/bin/env \(program)\n\(text)\n")
                    try bench.policy("pure-" + type, "sandbox: {preset: compute}\n")
                }
                try bench.handler(
                    "spawns",
                    "#!/bin/bash\n/usr/bin/true && echo ran\n( echo forked )\necho end"
                )
                try bench.policy("spawns", "sandbox: {preset: compute}\n")
            } _: { bench in
                let expected = [
                    "py": "2d711642 7\n", "sh": "6 3 {\"\n", "pl": "1,4,9,16\n", "js": "1,2,3 7\n",
                ]
                for (type, _, _) in programs {
                    let (task, text) = try await bench.output(of: "pure-" + type, params: "7")
                    #expect(task.text("status") == "completed", "\(type): \(task.text)")
                    #expect(text == expected[type], "\(type)")
                }
                let (_, text) = try await bench.output(of: "spawns")
                #expect(!text.contains("ran") && !text.contains("forked"))
            }
        }

        /// Where this very process has a library from.
        private static func folder(ofLibrary name: String) -> String? {
            let line = ProcessTable.text("/proc/self/maps")?.split(separator: "\n").first {
                $0.hasSuffix("/" + name)
            }
            guard let line, let slash = line.firstIndex(of: "/") else { return nil }
            return String(line[slash...].dropLast(name.count + 1))
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips, and says so, where a program is not installed.
    static func needs(_ program: String) -> Self {
        .enabled(if: FileManager.default.isExecutableFile(atPath: program), "needs \(program)")
    }
}
