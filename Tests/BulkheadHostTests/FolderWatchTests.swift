import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("FolderWatch")
struct FolderWatchTests {
    private let folder: HostFolder

    init() throws {
        folder = try HostFolder()
    }

    /// Waits for the next hint; the bound only ends a broken test.
    private func hint(_ watch: FolderWatch) async -> Bool {
        await withTaskGroup { group in
            group.addTask { await watch.changes.first { true } != nil }
            group.addTask {
                try? await Task.sleep(for: .seconds(20))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    @Test(
        "each kind of change is told",
        arguments: ["write", "create folder", "rename in", "rename out", "remove", "mode", "link"]
    )
    func kinds(_ kind: String) async throws {
        try folder.folder("plugins")
        try folder.file("plugins/old", "x")
        try folder.file("outside", "x")
        let watch = try FolderWatch(paths: [folder("plugins")], quiet: .milliseconds(20))
        switch kind {
        case "write": try OpenDescriptor.open(folder("plugins/old"), O_WRONLY).writeAll([1])
        case "create folder": try folder.folder("plugins/new")
        case "rename in":
            try SystemFailure.checkErrno(unsafe rename(folder("outside"), folder("plugins/new")))
        case "rename out": try SystemFailure.checkErrno(unsafe rename(folder("plugins/old"), folder("old")))
        case "remove": try SystemFailure.checkErrno(unsafe unlink(folder("plugins/old")))
        case "mode": try folder.setMode("plugins/old", 0o755)
        default: try folder.link("plugins/link", to: "old")
        }
        #expect(await hint(watch))
    }

    @Test("a folder that is missing, with its parent too, is watched once it is there")
    func missing() async throws {
        let watch = try FolderWatch(paths: [folder("a/b/plugins")], quiet: .milliseconds(20))
        try folder.folder("a")
        #expect(await hint(watch))
        try folder.folder("a/b/plugins")
        #expect(await hint(watch))
        try folder.file("a/b/plugins/job", "x")
        #expect(await hint(watch))
    }

    @Test("a folder that is removed and made again, or replaced with its parent, is watched on")
    func replaced() async throws {
        try folder.folder("a/plugins")
        let watch = try FolderWatch(paths: [folder("a/plugins")], quiet: .milliseconds(20))
        try FileManager.default.removeItem(atPath: folder("a/plugins"))
        #expect(await hint(watch))
        try folder.folder("a/plugins")
        #expect(await hint(watch))
        try folder.file("a/plugins/job", "x")
        #expect(await hint(watch))
        try folder.folder("b/plugins")
        try SystemFailure.checkErrno(unsafe rename(folder("a"), folder("old")))
        try SystemFailure.checkErrno(unsafe rename(folder("b"), folder("a")))
        #expect(await hint(watch))
        try folder.file("a/plugins/job", "x")
        #expect(await hint(watch))
    }

    @Test("a link to a folder that is turned to another is told, and the other is watched")
    func turnedLink() async throws {
        try folder.folder("one")
        try folder.folder("two")
        try folder.link("plugins", to: "one")
        let watch = try FolderWatch(paths: [folder("plugins")], quiet: .milliseconds(20))
        try folder.link("next", to: "two")
        try SystemFailure.checkErrno(unsafe rename(folder("next"), folder("plugins")))
        #expect(await hint(watch))
        try folder.file("two/job", "x")
        #expect(await hint(watch))
    }

    @Test("many folders are watched, one above another too")
    func many() async throws {
        let names = (0..<50).map { "f\($0)" }
        for name in names { try folder.folder(name) }
        try folder.folder("f0/policies")
        let paths = names.map { folder($0) } + [folder("f0/policies")]
        let watch = try FolderWatch(paths: paths, quiet: .milliseconds(20))
        for name in ["f49", "f0", "f0/policies"] {
            try folder.file(name + "/x", "x")
            #expect(await hint(watch), "\(name)")
        }
    }

    @Test("stopping ends the stream")
    func stops() async throws {
        let watch = try FolderWatch(paths: [folder.path])
        watch.stop()
        var hints = 0
        for await _ in watch.changes { hints += 1 }
        #expect(hints == 0)
    }

    @Test("a file is being written while somebody has it open for writing or it has just been changed")
    func beingWritten() throws {
        let path = try folder.file("job", "x")
        #expect(FolderWatch.isBeingWritten(path))
        try age(path, seconds: 10)
        #expect(!FolderWatch.isBeingWritten(path))
        do {
            let writer = try OpenDescriptor.open(path, O_WRONLY)
            #expect(FolderWatch.isBeingWritten(path))
            #expect(writer.number >= 0)
        }
        #expect(!FolderWatch.isBeingWritten(path))
        try age(path, seconds: -3_600)
        #expect(!FolderWatch.isBeingWritten(path))
        #expect(!FolderWatch.isBeingWritten(folder("none")))
        #expect(!FolderWatch.isBeingWritten(folder.path))
    }

    private func age(_ path: String, seconds: Double) throws {
        let date = Date(timeIntervalSinceNow: -seconds)
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
    }
}

@Suite("WatchLoop.Schedule")
struct WatchScheduleTests {
    private static let quiet: Int64 = 200

    @Test("without a change nothing is due, so nothing wakes the thread")
    func idle() {
        #expect(WatchLoop.Schedule(quiet: Self.quiet, rescans: false, now: 5).due == nil)
    }

    @Test("a change is told when it has been quiet since the last one")
    func quiet() {
        var schedule = WatchLoop.Schedule(quiet: Self.quiet, rescans: false, now: 0)
        schedule.changed(at: 1_000)
        #expect(schedule.due == 1_200)
        schedule.changed(at: 1_150)
        #expect(schedule.due == 1_350)
        schedule.told(rescans: false, now: 1_350)
        #expect(schedule.due == nil)
    }

    @Test("changes that never stop are told all the same")
    func endless() {
        var schedule = WatchLoop.Schedule(quiet: Self.quiet, rescans: false, now: 0)
        schedule.changed(at: 1_000)
        schedule.changed(at: 1_000 + WatchLoop.longestNanoseconds - 1)
        #expect(schedule.due == 1_000 + WatchLoop.longestNanoseconds)
    }

    @Test("where the kernel cannot tell, a look is due again and again")
    func rescans() {
        var schedule = WatchLoop.Schedule(quiet: Self.quiet, rescans: true, now: 7)
        #expect(schedule.due == 7 + WatchLoop.rescanNanoseconds)
        schedule.changed(at: 10)
        #expect(schedule.due == 210)
        schedule.told(rescans: true, now: 210)
        #expect(schedule.due == 210 + WatchLoop.rescanNanoseconds)
    }
}
