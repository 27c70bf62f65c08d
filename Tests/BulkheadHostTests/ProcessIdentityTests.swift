import BulkheadCore
import Foundation
import Glibc
import Testing

@testable import BulkheadHost

@Suite("ProcessIdentity", .timeLimit(.minutes(5)))
struct ProcessIdentityTests {
    @Test("the mark of a process holds its number, its start and this boot")
    func markOfItself() throws {
        let mark = try #require(ProcessIdentity.mark(of: getpid()))
        let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        #expect(mark.pid == getpid())
        #expect(mark.startTime > 0)
        #expect(mark.bootID == boot.trimmingCharacters(in: .whitespacesAndNewlines))
        #expect(ProcessIdentity.isAlive(mark))
    }

    @Test("there is no mark for a number that nobody has", arguments: [0, -1, Int32.max])
    func noMark(_ pid: Int32) {
        #expect(ProcessIdentity.mark(of: pid) == nil)
    }

    @Test("a process with the marked number and another start or boot is never signalled")
    func reusedNumber() async throws {
        let child = try TestChild("/bin/sleep", "100")
        var later = child.mark
        later.startTime += 1
        var earlier = child.mark
        earlier.startTime -= 1
        var otherBoot = child.mark
        otherBoot.bootID = "11111111-2222-3333-4444-555555555555"
        var noBoot = child.mark
        noBoot.bootID = ""
        for mark in [later, earlier, otherBoot, noBoot] {
            #expect(!ProcessIdentity.kill(mark))
            #expect(!ProcessIdentity.send(SIGTERM, to: mark))
            #expect(!ProcessIdentity.isAlive(mark))
            #expect(await ProcessIdentity.waitForEnd(of: mark, atMost: .zero))
        }
        #expect(ProcessIdentity.isAlive(child.mark))
        // SIGKILL or SIGTERM to it would have shown by now: a signal is there before the call that sent it ends.
        #expect(await !ProcessIdentity.waitForEnd(of: child.mark, atMost: .milliseconds(50)))
    }

    @Test("the marked process is killed, and is not alive while nobody has reaped it")
    func killsTheRightOne() async throws {
        let child = try TestChild("/bin/sleep", "100")
        #expect(ProcessIdentity.kill(child.mark))
        #expect(await ProcessIdentity.waitForEnd(of: child.mark, atMost: .seconds(10)))
        #expect(!ProcessIdentity.isAlive(child.mark))
        #expect(ProcessIdentity.mark(of: child.mark.pid) == child.mark, "a zombie keeps its number")
    }

    @Test("a process that was reaped cannot be signalled")
    func reaped() throws {
        let mark = try TestChild("/bin/sleep", "100").mark
        #expect(!ProcessIdentity.kill(mark))
    }

    @Test("the wait ends at its limit while one of several processes goes on")
    func waitIsBounded() async throws {
        let ended = try TestChild("/bin/true")
        let living = try TestChild("/bin/sleep", "100")
        #expect(await !ProcessIdentity.waitForEnd(of: [ended.mark, living.mark], atMost: .milliseconds(20)))
        #expect(await ProcessIdentity.waitForEnd(of: [ended.mark], atMost: .seconds(10)))
    }

    @Test("the lineage goes from a process over its parent to the first one")
    func lineage() throws {
        let child = try TestChild("/bin/sleep", "100")
        let line = ProcessIdentity.lineage(of: child.mark.pid)
        #expect(line.first == child.mark)
        #expect(line.dropFirst().first == ProcessIdentity.mark(of: getpid()))
        #expect(ProcessIdentity.ancestors(of: child.mark.pid) == line.dropFirst().map(\.pid))
        #expect(ProcessIdentity.ancestors(of: child.mark.pid).dropFirst().first == getppid())
        #expect(ProcessIdentity.lineage(of: Int32.max).isEmpty)
    }

    @Test("a program's name may hold blanks and parentheses")
    func awkwardName() throws {
        let line = "42 (a) R 9 (b) (x y) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 10\n"
        let status = try #require(ProcessStatus(parsing: Array(line.utf8)))
        #expect(status.pid == 42)
        #expect(status.parent == 7)
        #expect(status.session == 40)
        #expect(status.startTime == 123456)
    }

    @Test(
        "a line that is no status has none",
        arguments: ["", "42", "42 (a", "42 a) S 1 2 3", "42 (a) S 1 2 3"]
    )
    func noStatus(_ line: String) {
        #expect(ProcessStatus(parsing: Array(line.utf8)) == nil)
    }
}

@Suite("ProcessTree", .timeLimit(.minutes(5)))
struct ProcessTreeTests {
    private func process(_ pid: Int32, parent: Int32, session: Int32, start: UInt64) -> ProcessStatus {
        ProcessStatus(pid: pid, parent: parent, session: session, startTime: start)
    }

    private func members(_ all: [ProcessStatus], pid: Int32 = 10, start: UInt64 = 100) -> Set<Int32> {
        let handler = ProcessMark(pid: pid, startTime: start, bootID: "boot")
        return Set(ProcessTree.members(of: handler, among: all).map(\.pid))
    }

    @Test("the session, and what descends from it, belong to the tree")
    func sessionAndDescendants() {
        let all = [
            process(1, parent: 0, session: 1, start: 0), process(10, parent: 5, session: 10, start: 100),
            process(11, parent: 10, session: 10, start: 101), process(12, parent: 1, session: 10, start: 102),
            process(13, parent: 12, session: 13, start: 103),
            process(14, parent: 13, session: 13, start: 104),
            process(20, parent: 1, session: 20, start: 105),
        ]
        #expect(members(all) == [10, 11, 12, 13, 14])
        #expect(members(all.filter { $0.pid != 10 }) == [11, 12, 13, 14])
    }

    @Test("when the handler's number belongs to another process, nothing is of the tree")
    func reusedNumber() {
        let all = [
            process(10, parent: 1, session: 10, start: 500), process(11, parent: 10, session: 10, start: 501),
        ]
        #expect(members(all).isEmpty)
    }

    @Test("a member of the session that is older than the handler is not of the tree")
    func olderMember() {
        #expect(members([process(11, parent: 1, session: 10, start: 99)]).isEmpty)
    }

    @Test("everything in a session is ended, and nothing outside it")
    func endsTheSession() async throws {
        let bystander = try TestChild("/bin/sleep", "100")
        let leader = try TestChild(
            "/bin/sh",
            "-c",
            "sleep 100 & sleep 100 & (sleep 100 & sleep 100) & wait",
            leadsSession: true
        )
        var found: [ProcessStatus] = []
        while found.count < 5 {
            found = ProcessTree.members(of: leader.mark, among: ProcessStatus.all())
            await Task.yield()
        }
        let marks = found.map {
            ProcessMark(pid: $0.pid, startTime: $0.startTime, bootID: ProcessIdentity.bootID)
        }
        #expect(await ProcessTree.end(handler: leader.mark, atMost: .seconds(10)))
        for mark in marks { #expect(!ProcessIdentity.isAlive(mark)) }
        #expect(ProcessIdentity.isAlive(bystander.mark))
    }

    @Test("whoever was given a scratch folder is ended, wherever it went, and nobody else")
    func endsByScratchFolder() async throws {
        let scratch = "/var/tmp/\(UInt64.random(in: 0 ... .max))"
        let other = try TestChild("/usr/bin/env", "BULKHEAD_SCRATCH=\(scratch)-too", "sleep", "100")
        let script = "setsid sh -c 'sleep 100 & sleep 100' & sleep 100"
        let leader = try TestChild("/usr/bin/env", "BULKHEAD_SCRATCH=\(scratch)", "sh", "-c", script)
        func holders() -> [ProcessMark] {
            ProcessStatus.all().filter { process in
                let environment = ProcFile.read("/proc/\(process.pid)/environ", atMost: 65_536) ?? []
                return environment.split(separator: 0).contains(
                    Array("BULKHEAD_SCRATCH=\(scratch)".utf8)[...]
                )
            }.map { ProcessMark(pid: $0.pid, startTime: $0.startTime, bootID: ProcessIdentity.bootID) }
        }
        var marks: [ProcessMark] = []
        while marks.count < 4 {
            marks = holders()
            await Task.yield()
        }
        #expect(await ProcessTree.end(withScratch: scratch, atMost: .seconds(10)))
        for mark in marks { #expect(!ProcessIdentity.isAlive(mark)) }
        #expect(!ProcessIdentity.isAlive(leader.mark) && ProcessIdentity.isAlive(other.mark))
    }
}
