import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

extension LauncherTests {
    @Suite("What cannot be launched")
    struct Refusals {
        @Test("a missing program is refused with stage and errno")
        func missingProgram() throws {
            var spec = shell("")
            spec.executable = "/nonexistent/handler"
            let report = try LauncherDriver().run(spec)
            #expect(report.refusal?.stage == .exec)
            #expect(report.refusal?.errno == ENOENT)
            #expect(report.refusal?.detail == "/nonexistent/handler")
            #expect(report.started == nil)
        }

        @Test("what cannot be executed is refused, two hundred times, without one descriptor more")
        func execErrors() throws {
            let folder = try TemporaryFolder()
            let broken = try folder.program("broken", [0x7f, 0x45, 0x4c, 0x46, 1, 2, 3, 4])
            let orphan = try folder.program("orphan", Array("#!/no/such/interpreter\n".utf8))
            let plain = try folder.file("plain", Array("#!/bin/sh\n".utf8), mode: 0o644)
            let driver = try LauncherDriver()
            let expected = [(broken, ENOEXEC), (orphan, ENOENT), (plain, EACCES), (folder.path, EACCES)]
            var baseline = 0
            for round in 0..<50 {
                for (path, errno) in expected {
                    var spec = shell("")
                    spec.executable = path
                    let report = try driver.run(spec)
                    #expect(report.refusal?.stage == .exec)
                    #expect(report.refusal?.errno == errno)
                }
                if round == 0, isRoot { baseline = try driver.openDescriptors() }
            }
            if isRoot { #expect(try driver.openDescriptors() == baseline) }
            var spec = shell("")
            spec.executable = orphan
            #expect(try driver.run(spec).refusal?.detail.contains("interpreter") == true)
        }

        @Test("a working folder, a cgroup file and a file rule that are not there are refused by their paths")
        func missingPaths() throws {
            let driver = try LauncherDriver()
            var spec = shell("")
            spec.workingFolder = "/no/folder"
            var report = try driver.run(spec)
            #expect(report.refusal?.stage == .workingFolder)
            #expect(report.refusal?.detail == "/no/folder")
            spec = shell("")
            spec.cgroup.procs = ["/dev/null", "/no/cgroup.procs"]
            report = try driver.run(spec)
            #expect(report.refusal?.stage == .cgroup)
            #expect(report.refusal?.detail == "/no/cgroup.procs")
            spec = shell("")
            spec.landlock = LandlockSpec(
                handledAccess: CLINUX_LANDLOCK_READ_FILE,
                rules: [
                    LandlockRule(path: "/no/optional", access: CLINUX_LANDLOCK_READ_FILE, optional: true),
                    LandlockRule(path: "/no/rule", access: CLINUX_LANDLOCK_READ_FILE),
                ]
            )
            report = try driver.run(spec)
            #expect(report.refusal?.stage == .landlock)
            #expect(report.refusal?.errno == ENOENT)
            #expect(report.refusal?.detail == "/no/rule")
        }

        @Test("a spec that is damaged, unsealed or of another attempt is refused at its stage")
        func brokenSpec() throws {
            let driver = try LauncherDriver()
            let bytes = try shell("").encoded()
            let unsealed = unsafe clinux_memfd("unsealed")
            defer { close(unsealed) }
            let cases = [
                (try driver.sealed(Array(bytes.dropLast())), EBADMSG), (try driver.sealed(bytes), EBADMSG),
                (unsealed, EPERM),
            ]
            for (file, errno) in cases {
                let stdin = try driver.sealed([])
                try driver.send(
                    .launch(LaunchHeader(attempt: 77, specBytes: UInt32(bytes.count))),
                    [file, stdin]
                )
                let report = try driver.collect(77)
                #expect(report.refusal?.stage == .spec)
                #expect(report.refusal?.errno == errno)
                close(stdin)
            }
            for (file, _) in cases.prefix(2) { close(file) }
            #expect(try driver.run(shell("exit 5")).outcome?.ending == .exited(code: 5))
        }
    }
}
