import BulkheadLaunch
import Testing

@Suite("EventLines")
struct EventLinesTests {
    func texts(_ lines: [EventLines.Line]) -> [String] {
        lines.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test("lines come whole however the bytes were cut")
    func anyCut() {
        let text = "{\"a\":1}\n{\"b\":2}\nlast"
        for size in 1...text.utf8.count {
            var lines = EventLines()
            var found: [EventLines.Line] = []
            var rest = ArraySlice(text.utf8)
            while !rest.isEmpty {
                found += lines.append(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            if let line = lines.finish() { found.append(line) }
            #expect(texts(found) == ["{\"a\":1}", "{\"b\":2}", "last"])
            #expect(found.allSatisfy { !$0.truncated && $0.length == UInt64($0.bytes.count) })
        }
    }

    @Test("empty lines are none")
    func empty() {
        var lines = EventLines()
        #expect(lines.append(ArraySlice("\n\n\n".utf8)).isEmpty)
        #expect(lines.finish() == nil)
    }

    @Test("a line of exactly the bound is whole, one byte more is cut to its head")
    func bound() {
        for size in [1, 3, 7, 100] {
            var lines = EventLines(bound: 10, head: 4)
            var found: [EventLines.Line] = []
            var rest = ArraySlice("0123456789\nABCDEFGHIJK\nnext\n".utf8)
            while !rest.isEmpty {
                found += lines.append(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            #expect(texts(found) == ["0123456789", "ABCD", "next"])
            #expect(found.map(\.truncated) == [false, true, false])
            #expect(found.map(\.length) == [10, 11, 4])
            #expect(lines.truncatedCount == 1)
        }
    }

    @Test("an endless line is one line at the end, with its whole length")
    func endless() {
        var lines = EventLines(bound: 100, head: 8)
        let bytes = ArraySlice([UInt8](repeating: 120, count: 1000))
        for _ in 0..<1000 { #expect(lines.append(bytes).isEmpty) }
        let line = lines.finish()
        #expect(line?.length == 1_000_000)
        #expect(line?.truncated == true)
        #expect(line?.bytes.count == 8)
    }

    @Test("a line may hold any bytes")
    func binary() {
        var lines = EventLines()
        #expect(lines.append([0, 255, 13, 10, 7]).map(\.bytes) == [[0, 255, 13]])
    }
}
