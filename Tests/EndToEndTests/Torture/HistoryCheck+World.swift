import BulkheadCore

/// Output, bounds, pools, and what is around the tasks.
extension HistoryCheck {
    // MARK: Output

    mutating func checkStreams() {
        for stream in history.streams {
            let name = "\(stream.name) of attempt \(stream.attempt) of \(stream.id)"
            guard let type = history.tasks[stream.id].flatMap({ history.types[$0.text("type")] }) else {
                // A task that was removed has no output.
                expect(false, .output, "\(name) belongs to no task")
                continue
            }
            let row = attempts[stream.id]?.first { $0.attempt == stream.attempt }
            let whole = stream.name == "stdout" ? type.stdout : type.stderr
            let end = checkPieces(stream.pieces, whole, name)
            let counted = stream.name == "stdout" ? row?.stdoutEnd : row?.stderrEnd
            expect(counted == end, .output, "\(name) ends at \(end), counted are \(counted ?? -1) bytes")
            let missing = stream.pieces.contains { $0.bytes == nil }
            expect(
                !missing || type.outputLimit != nil,
                .output,
                "\(name) has a gap, and nothing had to give way"
            )
        }
        for stream in history.shownStreams {
            guard let type = history.tasks[stream.id].flatMap({ history.types[$0.text("type")] }) else {
                continue
            }
            let whole = stream.name == "stdout" ? type.stdout : type.stderr
            _ = checkPieces(stream.pieces, whole, "what the API shows of \(stream.name) of \(stream.id)")
        }
        checkWholeness()
    }

    /// The pieces follow one another without a hole and say what the handler wrote.
    /// - Returns: Where they end.
    private mutating func checkPieces(_ pieces: [History.Piece], _ whole: [UInt8], _ name: String) -> Int64 {
        var end: Int64 = 0
        for piece in pieces.sorted(by: { $0.offset < $1.offset }) {
            expect(piece.offset == end, .output, "\(name) goes on at \(piece.offset), not at \(end)")
            if let bytes = piece.bytes {
                let from = Int(clamping: piece.offset)
                let fits = from >= 0 && from + bytes.count <= whole.count
                expect(
                    fits && whole[from..<from + bytes.count].elementsEqual(bytes),
                    .output,
                    "\(name) is not what was written at \(piece.offset)"
                )
            }
            end = piece.offset + piece.length
        }
        return end
    }

    /// An attempt that ended by itself has all that its handler wrote.
    private mutating func checkWholeness() {
        for row in history.attempts {
            guard let type = history.tasks[row.id].flatMap({ history.types[$0.text("type")] }),
                row.outcome == "completed" || row.outcome == "failed" && row.reason == "exit", !type.isCut
            else { continue }
            expect(
                row.stdoutEnd == Int64(type.stdout.count) && row.stderrEnd == Int64(type.stderr.count),
                .output,
                "attempt \(row.attempt) of \(row.id) (\(type.name)) wrote \(type.stdout.count) and "
                    + "\(type.stderr.count) bytes, known are \(row.stdoutEnd) and \(row.stderrEnd)"
            )
        }
    }

    // MARK: Bounds

    /// What a task's rows may take in the file, generously.
    static let bytesPerTask: Int64 = 16_384
    /// What the file and its log may take besides.
    static let constantBytes: Int64 = 48 << 20

    mutating func checkBounds() {
        let history = history
        expect(
            history.countedBytes == history.keptBytes,
            .bounds,
            "\(history.countedBytes) bytes of output are counted, \(history.keptBytes) are kept"
        )
        expect(
            history.keptBytes <= history.spoolCap,
            .bounds,
            "\(history.keptBytes) bytes of output are kept, the cap is \(history.spoolCap)"
        )
        let most = history.keptBytes + Self.bytesPerTask * Int64(history.tasks.count) + Self.constantBytes
        expect(history.fileBytes <= most, .bounds, "the database takes \(history.fileBytes) bytes")
        for (id, streams) in Dictionary(grouping: history.streams, by: \.id) {
            let limit = history.tasks[id].flatMap { history.types[$0.text("type")]?.outputLimit }
            let kept = streams.flatMap(\.pieces).filter { $0.bytes != nil }.reduce(0) { $0 + $1.length }
            expect(kept <= limit ?? .max, .bounds, "\(id) keeps \(kept) bytes, its limit is \(limit ?? 0)")
        }
    }

    // MARK: Pools

    mutating func checkPools() {
        let history = history
        for (name, sightings) in Dictionary(grouping: history.poolSightings, by: \.name) {
            var last: Int64 = 0
            // Nothing that runs in these pools succeeds, so the count only grows.
            for sighting in sightings {
                expect(
                    sighting.failures >= last,
                    .pools,
                    "the pool \(name) forgot failures: \(sighting.failures) after \(last)"
                )
                last = sighting.failures
                let ahead = sighting.backoffAhead ?? 0
                expect(
                    ahead <= history.longestBackoff,
                    .pools,
                    "the pool \(name) backs off for \(ahead) ms, its maximum is \(history.longestBackoff)"
                )
            }
            let counted = failures(in: name)
            expect(
                counted == nil || last == counted,
                .pools,
                "the pool \(name) counts \(last) failures; \(counted ?? 0) attempts failed in it"
            )
        }
    }

    /// The failed attempts of a pool; nil where a task of it was removed or has forgotten attempts.
    private func failures(in pool: String) -> Int64? {
        let types = Set(history.types.values.filter { $0.pool == pool }.map(\.name))
        let tasks = history.tasks.values.filter { types.contains($0.text("type")) }
        guard tasks.allSatisfy({ $0["attempt"]?.integer ?? 0 <= Limits.attemptsShown }) else { return nil }
        return Int64(
            tasks.flatMap { attempts[$0.text("id")] ?? [] }
                .count { $0.outcome == "failed" && ["exit", "signal"].contains($0.reason) }
        )
    }

    // MARK: Around

    /// What a launcher at rest takes of the supervisor: its socket and its standard error, with room to spare.
    static let descriptorsPerLauncher = 4
    /// What comes and goes with calls of the API and readers of the database.
    static let spareDescriptors = 24
    static let spareThreads = 16

    mutating func checkSurroundings() {
        for damage in history.damage { expect(false, .acknowledged, "the database is damaged: \(damage)") }
        for slow in history.livezMilliseconds {
            expect(slow <= 1000, .alive, "/livez took \(slow) ms")
        }
        for survivor in history.survivors { expect(false, .survivors, survivor) }
        for hit in history.hitBystanders { expect(false, .bystanders, hit) }
        for fault in history.faults { expect(false, .errors, fault) }
        guard let first = history.censuses.first, let last = history.censuses.last else { return }
        let launchers = max(last.launchers - first.launchers, 0)
        expect(
            last.descriptors
                <= first.descriptors + Self.descriptorsPerLauncher * launchers + Self.spareDescriptors,
            .leaks,
            "\(last.descriptors) descriptors are open, at first there were \(first.descriptors)"
        )
        expect(
            last.threads <= first.threads + Self.spareThreads,
            .leaks,
            "there are \(last.threads) threads, at first there were \(first.threads)"
        )
        expect(last.zombies == 0, .leaks, "\(last.zombies) zombies are left")
    }
}
