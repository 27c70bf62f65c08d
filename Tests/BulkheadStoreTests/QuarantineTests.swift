import BulkheadCore
import Foundation
import GRDB
import SeededRandom
import Testing

@testable import BulkheadStore

@Suite("Quarantine")
struct QuarantineTests {
    /// A database with a little of everything, closed as a crash leaves it: with its log.
    private func database(_ bench: StoreWorkbench, tasks: Int = 12) async throws {
        let store = try Store.open(settings(bench))
        for number in 1...tasks {
            try await bench.run(store, number)
            _ = try await store.append([
                try bench.chunk(number, at: 0, String(repeating: "\(number) ", count: 200))
            ])
            var finish = try bench.finish(number, number.isMultiple(of: 3) ? .fail : .complete)
            finish.result = .object(["number": .integer(number)])
            if number.isMultiple(of: 2) { _ = try await store.finish(finish) }
            if number == tasks / 2 { try await writeBack(store) }
        }
        let crashed = try StoreWorkbench()
        defer { crashed.remove() }
        try bench.copyFiles(to: crashed)
        try await store.close()
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: bench.path + suffix)
        }
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: crashed.path + suffix, toPath: bench.path + suffix)
        }
    }

    private func settings(_ bench: StoreWorkbench) -> StoreSettings {
        var settings = StoreSettings(path: bench.path)
        settings.holdsReserve = false
        settings.checkpointPages = .max
        return settings
    }

    private func writeBack(_ store: Store) async throws {
        try await store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.full) }
    }

    private func files(_ bench: StoreWorkbench) throws -> Set<String> {
        // SQLite's own files beside an open or just closed database are not of interest.
        Set(try FileManager.default.contentsOfDirectory(atPath: bench.folder.path))
            .subtracting(["bulkhead.sqlite-wal", "bulkhead.sqlite-shm"])
    }

    private func flip(_ path: String, at offset: Int, bits: UInt8 = 0xff) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: UInt64(offset))
        let byte = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data([byte ^ bits]))
        try file.close()
    }

    @Test(
        "a damaged database goes aside whole with its log, a new one begins, and the loss is known from then on"
    )
    func movedAside() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        try await database(bench)
        for page in 1...20 { try flip(bench.path, at: page * 4_096) }
        let store = try Store.open(settings(bench), now: bench.now)
        let loss = try #require(store.historyLoss)
        #expect(loss.file == "bulkhead.sqlite.corrupt-20270115T080000Z" && !loss.reason.isEmpty)
        #expect(try await store.counts().isEmpty)
        try await bench.submit(store, try bench.request(1))
        try await store.close()
        // SQLite may have written the log into the damaged file when it closed it.
        #expect(try files(bench).subtracting([loss.file + "-wal"]) == ["bulkhead.sqlite", loss.file])
        let next = try Store.open(settings(bench))
        #expect(next.historyLoss == loss)
        #expect(try await next.counts() == [.queued: 1])
        try await next.close()
        // A second one in the same second has a name of its own.
        for page in 1...20 { try flip(bench.path, at: page * 4_096) }
        let third = try Store.open(settings(bench), now: bench.now)
        #expect(third.historyLoss?.file == loss.file + "-2")
        try await third.close()
    }

    @Test("a move that a crash cut short is finished by the next start, wherever it was cut")
    func cutShort() async throws {
        for cut in 0...3 {
            let bench = try StoreWorkbench()
            defer { bench.remove() }
            try await database(bench)
            let quarantine = Quarantine(path: bench.path)
            let note = try quarantine.begin("a bit has turned", now: bench.now)
            let target = bench.folder.appending(path: note.loss.file).path
            let files = FileManager.default
            if cut >= 1 { try files.moveItem(atPath: bench.path + "-wal", toPath: target + "-wal") }
            if cut >= 2 { try files.moveItem(atPath: bench.path, toPath: target) }
            if cut >= 3 {
                _ = try quarantine.move(note)
                // The new database was begun, and the crash came before it knew of the loss.
                let begun = try DatabasePool(path: bench.path)
                try begun.close()
            }
            let store = try Store.open(settings(bench))
            #expect(store.historyLoss == note.loss, "cut \(cut)")
            #expect(try await store.counts().isEmpty)
            try await store.close()
            #expect(
                try self.files(bench) == ["bulkhead.sqlite", note.loss.file, note.loss.file + "-wal"],
                "cut \(cut)"
            )
        }
    }

    @Test("damage that is met while the store runs ends it, and the next start moves the file aside")
    func metWhileRunning() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try Store.open(settings(bench))
        try await bench.submit(store, try bench.request(1))
        let error = await #expect(throws: BulkheadError.self) {
            try await store.read { _ in
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a page is wrong")
            }
        }
        #expect(error?.code == .storage)
        for await failure in store.failure {
            #expect(failure.cause?.contains("a page is wrong") == true)
            break
        }
        await #expect(throws: BulkheadError.self) { try await bench.submit(store, try bench.request(2)) }
        await #expect(throws: BulkheadError.self) { try await store.check() }
        try await store.close()
        let next = try Store.open(settings(bench))
        #expect(next.historyLoss?.reason == "a page is wrong")
        #expect(try await next.counts().isEmpty)
        try await next.close()
    }

    @Test("a database whose mark, versions, tables or counters are not as they were made is damaged")
    func meaning() async throws {
        let cases = [
            "PRAGMA application_id = 7", "INSERT INTO grdb_migrations VALUES ('w3')", "DROP INDEX task_ready",
            "DROP TRIGGER task_moves", "UPDATE ledger SET spoolBytes = spoolBytes + 1",
            "PRAGMA ignore_check_constraints = ON; UPDATE task SET status = 'gone' WHERE key = 1",
        ]
        for sql in cases {
            let bench = try StoreWorkbench()
            defer { bench.remove() }
            try await database(bench, tasks: 2)
            let queue = try DatabaseQueue(path: bench.path)
            try await queue.writeWithoutTransaction { try $0.execute(sql: sql) }
            try queue.close()
            let store = try Store.open(settings(bench))
            #expect(store.historyLoss != nil, "\(sql)")
            try await store.close()
        }
    }

    @Test("a main file that is gone while its log is there is a loss, and is said")
    func mainFileGone() async throws {
        for isEmpty in [false, true] {
            let bench = try StoreWorkbench()
            defer { bench.remove() }
            try await database(bench)
            try FileManager.default.removeItem(atPath: bench.path)
            if isEmpty { try Data().write(to: URL(filePath: bench.path)) }
            let store = try Store.open(settings(bench))
            #expect(store.historyLoss?.reason.contains("main file is gone") == true)
            try await store.close()
        }
    }

    @Test("without its shared memory, or without its log, a database opens with a whole history")
    func filesGone() async throws {
        for suffix in ["-shm", "-wal"] {
            let bench = try StoreWorkbench()
            defer { bench.remove() }
            try await database(bench)
            try? FileManager.default.removeItem(atPath: bench.path + suffix)
            let store = try Store.open(settings(bench))
            #expect(store.historyLoss == nil)
            try await StoreWorkbench.audit(store)
            // The log held the second half.
            #expect(try await store.counts().values.reduce(0, +) == (suffix == "-wal" ? 6 : 12))
            try await store.close()
        }
    }

    // MARK: Bytes that have turned

    /// What a database says, and what of it does not lie within the values that callers and handlers gave.
    private func content(_ store: Store) async throws -> (frame: [String], values: [String]) {
        var filter = TaskFilter()
        filter.limit = 1_000
        var content: (frame: [String], values: [String]) = ([], [])
        for task in try await store.tasks(filter).tasks {
            let output = try await store.output(of: task.id, OutputQuery())
            content.frame.append("\(task.id) \(task.type) \(task.pool) \(task.status) \(task.sequence)")
            content.frame += output.pieces.map { "\($0.channel) \($0.offset) \($0.length)" }
            content.values.append("\(task) \(output)")
            content.values.append("\(try await store.attempts(of: task.id, limit: 16))")
        }
        return content
    }

    private static let frameBytes = 24 + 4_096

    /// The frames of a log's present life, and where those of its last transaction begin.
    private func lastTransaction(of log: Data) -> (frames: Int, start: Int) {
        let frame = Self.frameBytes
        let salts = Array(log[16..<24])
        let frames = (0..<(log.count - 32) / frame).prefix { number in
            let start = 32 + number * frame + 8
            return Array(log[start..<(start + 8)]) == salts
        }.count
        var last = frames - 1
        while last > 0, log[32 + (last - 1) * frame + 7] == 0 { last -= 1 }
        return (frames, 32 + last * frame)
    }

    private static var seeds: ClosedRange<UInt64> {
        let count = ProcessInfo.processInfo.environment["BULKHEAD_BYTE_FLIPS"].flatMap(UInt64.init) ?? 40
        return 1...count
    }

    @Test(
        "a byte that has turned, wherever it is, is found, or harmless, or within one value, and never ends the process"
    )
    func flips() async throws {
        let original = try StoreWorkbench()
        defer { original.remove() }
        try await database(original)
        let whole = try Store.open(settings(try copy(of: original)))
        let expected = try await content(whole)
        try await whole.close()
        // What is left where the last transaction is taken for one that a crash has cut short.
        let cut = try copy(of: original)
        let log = try Data(contentsOf: URL(filePath: cut.path + "-wal"))
        try log.prefix(lastTransaction(of: log).start).write(to: URL(filePath: cut.path + "-wal"))
        let shorter = try Store.open(settings(cut))
        let withoutLast = try await content(shorter)
        try await shorter.close()
        var found = 0
        var harmless = 0
        var within = 0
        var silent: [String] = []
        for seed in Self.seeds {
            let bench = try copy(of: original)
            defer { bench.remove() }
            var random = SeededRandom(seed: seed)
            let suffix = Bool.random(using: &random) ? "" : "-wal"
            let size = try Data(contentsOf: URL(filePath: bench.path + suffix)).count
            let offset = Int.random(in: 0..<size, using: &random)
            try flip(bench.path + suffix, at: offset, bits: UInt8.random(in: 1...255, using: &random))
            let store: Store
            do { store = try Store.open(settings(bench)) } catch {
                // An error with a way out; nothing was taken for sound.
                found += 1
                continue
            }
            defer { store.closeAnyhow() }
            if store.historyLoss != nil {
                found += 1
                continue
            }
            do {
                let content = try await content(store)
                if content == expected || content == withoutLast {
                    harmless += 1
                } else if content.frame == expected.frame {
                    within += 1
                } else {
                    let difference = content.frame.difference(from: expected.frame)
                    silent.append("seed \(seed): bulkhead.sqlite\(suffix) at \(offset): \(difference)")
                }
            } catch {
                found += 1
            }
            try? await store.close()
        }
        print(
            "byte flips: \(found) found, \(harmless) harmless, \(within) within a value, \(silent.count) silent"
        )
        for line in silent { print(line) }
        #expect(silent.isEmpty)
    }

    private func copy(of bench: StoreWorkbench) throws -> StoreWorkbench {
        let copy = try StoreWorkbench()
        try bench.copyFiles(to: copy)
        return copy
    }

    @Test(
        "a header that was being written over is put right by the frames behind it, wherever the write was cut"
    )
    func tornHeader() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        try await database(bench)
        let log = try Data(contentsOf: URL(filePath: bench.path + "-wal"))
        #expect(LogCheck.mendedHeader(of: log) == nil)
        var next = log.prefix(32)
        next[15] += 1
        for place in 16..<32 { next[place] ^= UInt8(37 + place) }
        for cut in 16..<32 {
            var torn = log
            torn.replaceSubrange(..<cut, with: next.prefix(cut))
            #expect(LogCheck.damage(in: torn) != nil)
            #expect(LogCheck.mendedHeader(of: torn) == log.prefix(32), "cut at \(cut)")
            // With another first frame nothing is proved.
            torn[32 + 24 + 100] ^= 1
            #expect(LogCheck.mendedHeader(of: torn) == nil)
        }
        let whole = try await content(try Store.open(settings(try copy(of: bench))))
        let torn = try copy(of: bench)
        try (next.prefix(20) + log.dropFirst(20)).write(to: URL(filePath: torn.path + "-wal"))
        let store = try Store.open(settings(torn))
        #expect(store.historyLoss == nil)
        #expect(try await content(store) == whole)
        try await store.close()
    }

    @Test(
        "each frame of the log that is damaged is found, but within the last transaction, which a crash may have cut"
    )
    func logs() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        try await database(bench)
        let log = try Data(contentsOf: URL(filePath: bench.path + "-wal"))
        #expect(LogCheck.damage(in: log) == nil)
        let frame = Self.frameBytes
        let (frames, start) = lastTransaction(of: log)
        let last = (start - 32) / frame
        #expect(frames > 20 && last < frames)
        for number in 0..<frames {
            for place in [8 + 24 + frame * number + 24 + 100, 32 + frame * number + 16] {
                var damaged = log
                damaged[place] ^= 1
                let isLast = number >= last
                #expect((LogCheck.damage(in: damaged) == nil) == isLast, "frame \(number) of \(frames)")
            }
        }
        for place in 0..<32 {
            var damaged = log
            damaged[place] ^= 4
            #expect(LogCheck.damage(in: damaged) != nil, "header byte \(place)")
        }
        // A crash cuts anywhere, and what lies behind is of an earlier life.
        for cut in stride(from: 0, through: log.count, by: 1_013) {
            #expect(LogCheck.damage(in: log.prefix(cut)) == nil, "cut at \(cut)")
        }
        #expect(LogCheck.damage(in: Data(count: 100_000)) == nil)
        #expect(LogCheck.damage(in: log + Data(count: 50_000)) == nil)
    }
}

extension Store {
    /// Lets go of the file of a test that has seen enough.
    fileprivate func closeAnyhow() { writer.closeSoon() }
}
