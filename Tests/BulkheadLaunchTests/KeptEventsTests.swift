import BulkheadLaunch
import Testing

@Suite("KeptEvents")
struct KeptEventsTests {
    private func line(_ text: String) -> EventLines.Line {
        var lines = EventLines()
        return lines.append(Array((text + "\n").utf8)[...])[0]
    }

    private func texts(_ lines: [EventLines.Line]) -> [String] {
        lines.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    /// Says what the next lines mean; for each, whether one was waiting.
    private func tell(_ kept: inout KeptEvents, _ meanings: EventMeaning...) -> [Bool] {
        meanings.map { kept.acknowledge($0) }
    }

    @Test("the last line of each meaning is kept, and every line that nobody understood yet")
    func lastOfEach() {
        var kept = KeptEvents()
        let said: [(String, EventMeaning)] = [
            ("r1", .result), ("e1", .error), ("s1", .stray), ("p1", .progress), ("r2", .result),
        ]
        for (text, _) in said + [("new", .stray)] { kept.take(line(text), attended: true) }
        for (_, meaning) in said { #expect(tell(&kept, meaning) == [true]) }
        #expect(Set(texts(kept.all)) == ["s1", "p1", "e1", "r2", "new"])
        #expect(texts(kept.all).last == "new")
        #expect(kept.dropped == 0)
    }

    @Test("renewed lines wait for another supervisor's word, as often as there is one")
    func renewal() {
        var kept = KeptEvents()
        for text in ["r1", "s1"] { kept.take(line(text), attended: true) }
        #expect(tell(&kept, .result, .stray, .stray) == [true, true, false])
        for _ in 0..<2 {
            let lines = kept.renew()
            #expect(texts(lines) == ["s1", "r1"])
        }
        #expect(tell(&kept, .stray, .result, .result) == [true, true, false])
        #expect(texts(kept.all) == ["s1", "r1"])
    }

    @Test("a supervisor that is behind stops the reader, and loses nothing")
    func attendedBound() {
        var kept = KeptEvents(bound: 1_000)
        while kept.hasRoom { kept.take(line("{\"x\":1}"), attended: true) }
        let count = kept.all.count
        // Seven bytes, and 64 around them.
        #expect(count == 15 && kept.dropped == 0)
        #expect(tell(&kept, .progress) == [true])
        #expect(kept.hasRoom)
        #expect(kept.all.count == count)
    }

    @Test("without a supervisor results and errors go last, and what goes is counted")
    func unattendedBound() {
        var kept = KeptEvents(bound: 1_000)
        kept.take(line("{\"result\":1}"), attended: false)
        kept.take(line(" { \"error\":{}}"), attended: false)
        for number in 0..<100 { kept.take(line("stray \(number)"), attended: false) }
        let texts = texts(kept.all)
        #expect(texts.prefix(2) == ["{\"result\":1}", " { \"error\":{}}"])
        #expect(texts.last == "stray 99")
        #expect(kept.dropped == UInt64(102 - texts.count) && kept.dropped > 50)
    }

    @Test("without a supervisor one report of progress takes the place of the one before")
    func unattendedProgress() {
        var kept = KeptEvents(bound: 1_000)
        for number in 0..<100 { kept.take(line("{\"progress\":\(number)}"), attended: false) }
        #expect(texts(kept.all) == ["{\"progress\":99}"])
        #expect(kept.dropped == 0)
    }

    @Test("lines without meaning are kept up to a bound, and the others counted when nobody can have done so")
    func strayBound() {
        var kept = KeptEvents()
        for number in 0..<100 {
            kept.take(line("\(number)"), attended: true)
            #expect(tell(&kept, .stray) == [true])
        }
        #expect(kept.all.count == LaunchLimits.strayEventLines && kept.dropped == 0)
        let renewed = kept.renew()
        #expect(renewed.count == LaunchLimits.strayEventLines)
        #expect(kept.dropped == 68)
    }

    @Test("meanings are told in batches that never leave as much untold as may wait")
    func batches() {
        for size in [1, 4_000, 200_000] {
            var kept = KeptEvents()
            var batch = MeaningBatch()
            var lines = EventLines(bound: size)
            let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: size) + [UInt8(ascii: "\n")]
            let line = lines.append(bytes[...])[0]
            for _ in 0..<2_000 {
                #expect(kept.hasRoom)
                kept.take(line, attended: true)
                for meaning in batch.add(.progress, bytes: size) ?? [] { _ = tell(&kept, meaning) }
            }
        }
    }
}
