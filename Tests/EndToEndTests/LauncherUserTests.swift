import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

@Suite("Launcher's users", .serialized)
struct LauncherUserTests {
    private static let mkdir = LauncherSandboxTests.mkdir

    @Test(
        "as root the handler gets its user, no groups and no capabilities",
        .enabled(if: isRoot, "needs root")
    )
    func userChange() throws {
        var spec = shell(
            "id -u; id -g; grep -E 'Groups|Cap(Prm|Eff|Bnd)|^Uid' /proc/self/status; kill -0 $PPID"
        )
        spec.user = LaunchUser(uid: 2_000_000_017, gid: 2_000_000_018)
        let report = try LauncherDriver().run(spec)
        let zero = "0000000000000000"
        #expect(report.text.hasPrefix("2000000017\n2000000018\n"))
        #expect(report.text.contains("Uid:\t2000000017\t2000000017\t2000000017\t2000000017"))
        for line in ["Groups:\t \n", "CapPrm:\t\(zero)", "CapEff:\t\(zero)", "CapBnd:\t\(zero)"] {
            #expect(report.text.contains(line))
        }
        #expect(report.outcome?.ending == .exited(code: 1))
    }

    @Test("as root the root user itself holds no capability", .enabled(if: isRoot, "needs root"))
    func rootWithoutCapabilities() throws {
        var spec = shell("id -u; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status")
        spec.user = LaunchUser(uid: 0, gid: 0)
        let report = try LauncherDriver().run(spec)
        #expect(report.text.hasPrefix("0\n"))
        #expect(report.text.components(separatedBy: "0000000000000000").count == 4)
    }

    @Test(
        "with another user, filter, listener and file rules hold together",
        .enabled(if: isRoot, "needs root")
    )
    func everything() throws {
        var spec = shell("id -u; mkdir /tmp/never-made; echo $?")
        spec.user = LaunchUser(uid: 2_000_000_017, gid: 2_000_000_018)
        spec.openFiles = 32
        let reading = CLINUX_LANDLOCK_READ_FILE | CLINUX_LANDLOCK_READ_DIR | CLINUX_LANDLOCK_EXECUTE
        spec.landlock = LandlockSpec(
            handledAccess: reading,
            rules: ["/usr", "/bin", "/lib", "/lib64", "/etc", "/dev"].map {
                LandlockRule(path: $0, access: reading, optional: true)
            }
        )
        spec.filter = FilterSpec(
            program: notifyingFilter(Self.mkdir),
            hasListener: true,
            onDenied: .errno(EACCES)
        )
        let report = try LauncherDriver().run(spec)
        #expect(report.text == "2000000017\n1\n")
        #expect(report.outcome?.deniedTotal == 1)
    }

    @Test(
        "everything holds for an ordinary user too",
        .enabled(if: isRoot, "needs root to become another user")
    )
    func ordinaryUser() throws {
        let folder = try TemporaryFolder()
        let copy = "\(folder.path)/launcher"
        // A copy written by this process could be held open by what another test forks at that moment.
        let copying = try LauncherDriver().run(
            shell("cp '\(LauncherDriver.program)' \(copy) && chmod 755 \(copy)")
        )
        #expect(copying.outcome?.ending == .exited(code: 0))
        let become = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        let driver = try LauncherDriver(by: become, program: copy)
        var spec = shell("id -u; mkdir /tmp/never-made; (setsid sleep 1000 &); exit 3")
        spec.filter = FilterSpec(
            program: notifyingFilter(Self.mkdir),
            hasListener: true,
            onDenied: .errno(EPERM)
        )
        spec.landlock = LandlockSpec(
            handledAccess: CLINUX_LANDLOCK_WRITE_FILE,
            rules: [LandlockRule(path: "/dev", access: CLINUX_LANDLOCK_WRITE_FILE)]
        )
        for _ in 0..<20 {
            let report = try driver.run(spec)
            #expect(report.text == "65534\n")
            #expect(report.outcome?.ending == .exited(code: 3))
            #expect(report.outcome?.deniedTotal == 1)
        }
    }
}
