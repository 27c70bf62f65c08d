import BulkheadCore
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

#if canImport(Glibc)
import Glibc
#endif

@Suite("DatabaseFile")
struct DatabaseFileTests {
    private func pragma(_ name: String, _ db: Database) throws -> String? {
        try Row.fetchOne(db, sql: "PRAGMA \(name)").map { String(describing: $0[0] as DatabaseValue) }
    }

    @Test("the writer keeps synchronous=FULL, and everything else that is promised of the file")
    func pragmas() async throws {
        try await StoreWorkbench.run { _, store in
            let expected = [
                "synchronous": "2", "auto_vacuum": "2", "foreign_keys": "1", "mmap_size": "0",
                "journal_mode": "\"wal\"", "wal_autocheckpoint": "0", "secure_delete": "0",
                "application_id": "\(Schema.applicationID)", "user_version": "3",
            ]
            for (name, value) in expected {
                let kept = try await store.pool.writeWithoutTransaction { try pragma(name, $0) }
                #expect(kept == value, "\(name)")
            }
        }
    }

    @Test(
        "a connection that does not keep synchronous=FULL is refused",
        arguments: ["OFF", "NORMAL", "EXTRA"]
    )
    func durability(level: String) async throws {
        try await StoreWorkbench.run { _, store in
            let error = #expect(throws: BulkheadError.self) {
                try store.pool.writeWithoutTransaction { db in
                    try db.execute(sql: "PRAGMA synchronous = \(level)")
                    try DatabaseFile.confirmDurability(db)
                }
            }
            #expect(error?.code == .storage)
        }
    }

    @Test("a reader cannot write, and waits for a lock as long as the writer does")
    func readers() async throws {
        try await StoreWorkbench.run({ $0.busyTimeout = .milliseconds(1_234) }) { _, store in
            let error = await #expect(throws: BulkheadError.self) {
                try await store.read { db in try db.execute(sql: "DELETE FROM task") }
            }
            #expect(error?.code == .storage)
            let timeout = try await store.read { try pragma("busy_timeout", $0) }
            #expect(timeout == "1234")
        }
    }

    @Test("a folder that cannot be written, and one that is not there, are errors with a way out")
    func unwritable() {
        // Nobody can make a file in /proc, root neither.
        for path in ["/proc/bulkhead.sqlite", "/nowhere/at/all/bulkhead.sqlite"] {
            let error = #expect(throws: BulkheadError.self) { _ = try Store.open(StoreSettings(path: path)) }
            #expect(error?.code == .storage)
            #expect(error?.message.contains(path) == true)
            #expect(error?.advice?.contains("state folder") == true)
        }
    }

    @Test("what is no database is moved aside as it is, and a new one begins")
    func garbage() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let bytes = Data(repeating: 0x41, count: 8_192)
        try bytes.write(to: URL(filePath: bench.path))
        let store = try Store.open(StoreSettings(path: bench.path), now: bench.now)
        let loss = try #require(store.historyLoss)
        #expect(loss.file == "bulkhead.sqlite.corrupt-20270115T080000Z" && loss.at == bench.now)
        #expect(try Data(contentsOf: bench.folder.appending(path: loss.file)) == bytes)
        try await bench.submit(store, try bench.request(1))
        try await store.close()
    }

    @Test("another program's database is refused by name")
    func foreign() throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let other = try DatabaseQueue(path: bench.path)
        try other.write { try $0.execute(sql: "CREATE TABLE theirs (id INTEGER)") }
        try other.close()
        let error = #expect(throws: BulkheadError.self) {
            _ = try Store.open(StoreSettings(path: bench.path))
        }
        #expect(error?.code == .storage)
        #expect(error?.message.contains("another program") == true)
    }

    @Test("a file whose first version never landed, for want of room or by a crash, is made to its end")
    func cutShort() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        struct NoRoom: Error {}
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { _ in throw NoRoom() }
        let first = try DatabasePool(path: bench.path)
        #expect(throws: NoRoom.self) { try migrator.migrate(first) }
        try first.close()
        let store = try Store.open(StoreSettings(path: bench.path))
        try await bench.submit(store, try bench.request(1))
        try await store.close()
    }

    @Test("a database of a newer version is refused by name")
    func newer() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try Store.open(StoreSettings(path: bench.path))
        try await store.writer.commit { db in
            try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('v999')")
            try db.execute(sql: "PRAGMA user_version = 999")
        }
        try await store.close()
        let error = #expect(throws: BulkheadError.self) {
            _ = try Store.open(StoreSettings(path: bench.path))
        }
        #expect(error?.code == .storage)
        #expect(error?.message.contains("newer version") == true)
    }

    @Test("another program's lock is an error after the time-out, nothing is lost, and later it goes on")
    func locked() async throws {
        try await StoreWorkbench.run({ $0.busyTimeout = .milliseconds(50) }) { bench, store in
            try await bench.submit(store, try bench.request(1))
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: bench.path, configuration: configuration)
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
            let error = await #expect(throws: BulkheadError.self) {
                try await bench.submit(store, try bench.request(2))
            }
            #expect(error?.code == .storage)
            #expect(error?.retryAfterSeconds != nil)
            // Readers of a log are not kept out by a writer.
            #expect(try await store.counts() == [.queued: 1])
            try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try other.close()
            try await bench.submit(store, try bench.request(2))
            #expect(try await store.counts() == [.queued: 2])
        }
    }

    @Test("output that has no room on a full disk is said as a gap, and later it goes on")
    func full() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            func setMost(pages: Int) throws {
                try store.pool.writeWithoutTransaction { db in
                    try db.execute(sql: "PRAGMA max_page_count = \(pages)")
                }
            }
            let pages = try await store.pool.writeWithoutTransaction {
                try Int.fetchOne($0, sql: "PRAGMA page_count")
            }
            try setMost(pages: try #require(pages) + 4)
            let text = String(repeating: "x", count: 100_000)
            let appended = try await store.append([try bench.chunk(1, at: 0, text)])
            #expect(appended.spoolBytes == 0 && appended.entries[0].end == 100_000)
            #expect(appended.entries[0].totals.droppedBytes == 100_000)
            let submission = String(repeating: "y", count: 100_000)
            let error = await #expect(throws: BulkheadError.self) {
                try await bench.submit(store, try bench.request(2, params: #"{"a":"\#(submission)"}"#))
            }
            #expect(error?.code == .noReserve)
            #expect(error?.cause?.contains("full") == true)
            #expect(error?.retryAfterSeconds != nil)
            #expect(try await store.counts() == [.running: 1])
            #expect(try await store.finish(try bench.finish(1, .complete))?.task.status == .completed)
            try setMost(pages: 1_000_000)
            try await bench.run(store, 2)
            #expect(try await store.append([try bench.chunk(2, at: 0, text)]).spoolBytes == 100_000)
        }
    }

    /// Runs a program and says whether it succeeded.
    private static func run(_ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = nil
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    @Test(
        "a disk that is full at the start is an error with a way out, and with room the store opens",
        .enabled(if: geteuid() == 0, "only root can mount a small file system")
    )
    func fullAtStart() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let mounted = Self.run("mount", "-t", "tmpfs", "-o", "size=64k", "none", bench.folder.path)
        try #require(mounted, "a tmpfs could not be mounted")
        defer { _ = Self.run("umount", bench.folder.path) }
        let filler = bench.folder.appending(path: "filler")
        for left in [0, 40_960] {
            try? FileManager.default.removeItem(at: filler)
            try Data().write(to: filler)
            let file = try FileHandle(forWritingTo: filler)
            try file.write(contentsOf: Data(count: 65_536 - left))
            try file.close()
            let error = #expect(throws: BulkheadError.self) {
                _ = try Store.open(StoreSettings(path: bench.path))
            }
            #expect(error?.code == .storage)
            #expect(
                error?.advice == "free space on the file system of the state folder",
                "\(left) \(String(describing: error))"
            )
        }
        try FileManager.default.removeItem(at: filler)
        #expect(Self.run("mount", "-o", "remount,size=4m", bench.folder.path))
        let store = try Store.open(StoreSettings(path: bench.path))
        try await bench.submit(store, try bench.request(1))
        try await store.close()
    }
}
