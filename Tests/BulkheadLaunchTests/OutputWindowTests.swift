import BulkheadLaunch
import Testing

@Suite("OutputWindow")
struct OutputWindowTests {
    func held(_ window: OutputWindow, from offset: UInt64 = 0) -> [UInt8] {
        window.unacknowledged(from: offset).flatMap { Array($0.bytes) }
    }

    @Test("offsets count from the start and the room shrinks by what is held")
    func append() throws {
        var window = OutputWindow(bound: 8)
        #expect(try window.append([1, 2, 3]) == 0)
        #expect(try window.append([4]) == 3)
        #expect(window.produced == 4)
        #expect(window.room == 4)
        #expect(held(window) == [1, 2, 3, 4])
    }

    @Test("a full window cannot be read into until an acknowledgement makes room")
    func full() throws {
        var window = OutputWindow(bound: 4)
        _ = try window.append([1, 2, 3, 4])
        #expect(!window.canRead)
        #expect(throws: WindowError.beyondBound(bytes: 1, room: 0)) { try window.append([5]) }
        try window.acknowledge(3)
        #expect(window.room == 3)
        #expect(held(window) == [4])
        #expect(try window.append([5, 6, 7]) == 4)
        #expect(held(window) == [4, 5, 6, 7])
    }

    @Test("a stale acknowledgement changes nothing")
    func stale() throws {
        var window = OutputWindow(bound: 4)
        _ = try window.append([1, 2, 3])
        try window.acknowledge(2)
        let before = window
        try window.acknowledge(2)
        try window.acknowledge(0)
        #expect(window == before)
    }

    @Test("an acknowledgement beyond what was produced is rejected and changes nothing")
    func beyond() throws {
        var window = OutputWindow(bound: 4)
        _ = try window.append([1])
        let before = window
        #expect(throws: WindowError.beyondProduced(offset: 2, produced: 1)) { try window.acknowledge(2) }
        #expect(window == before)
    }

    @Test("what is held from an offset begins exactly there")
    func resend() throws {
        var window = OutputWindow(bound: 1 << 20)
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        for start in stride(from: 0, to: bytes.count, by: 1000) {
            _ = try window.append(Array(bytes[start..<start + 1000]))
        }
        try window.acknowledge(1500)
        #expect(window.unacknowledged(from: 0).first?.offset == 1500)
        #expect(held(window) == Array(bytes[1500...]))
        #expect(held(window, from: 7777) == Array(bytes[7777...]))
        #expect(window.unacknowledged(from: 7777).first?.offset == 7777)
        #expect(held(window, from: 20_000).isEmpty)
    }

    @Test("unattended, the oldest bytes go and every one of them is counted")
    func unattended() throws {
        var window = OutputWindow(bound: 4)
        window.mode = .unattended
        _ = try window.append([1, 2, 3])
        _ = try window.append([4, 5, 6])
        #expect(window.dropped == 2)
        #expect(window.unacknowledged(from: 0).first?.offset == 2)
        #expect(held(window) == [3, 4, 5, 6])
        #expect(window.canRead)
    }

    @Test("bytes that were acknowledged are not counted as dropped")
    func acknowledgedNotDropped() throws {
        var window = OutputWindow(bound: 4)
        _ = try window.append([1, 2, 3, 4])
        try window.acknowledge(3)
        window.mode = .unattended
        _ = try window.append([5, 6, 7])
        #expect(window.dropped == 0)
        _ = try window.append([8])
        #expect(window.dropped == 1)
    }

    @Test("draining adds its own room to a full window")
    func draining() throws {
        var window = OutputWindow(bound: 4, drainBound: 2)
        _ = try window.append([1, 2, 3, 4])
        window.mode = .draining
        #expect(window.room == 2)
        _ = try window.append([5, 6])
        #expect(!window.canRead)
        #expect(window.dropped == 0)
    }

    @Test("a long run of small writes and late acknowledgements keeps every byte in order")
    func longRun() throws {
        var window = OutputWindow(bound: 100)
        var sent: [UInt8] = []
        var received: [UInt8] = []
        var seed: UInt64 = 42
        for step in 0..<5000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1
            let count = min(Int(seed >> 60), window.room)
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: step &+ $0) }
            sent += bytes
            _ = try window.append(bytes)
            guard step.isMultiple(of: 5) else { continue }
            let next = window.acknowledged + UInt64(window.heldBytes / 2)
            received += held(window).prefix(window.heldBytes / 2)
            try window.acknowledge(next)
        }
        received += held(window)
        #expect(received == sent)
        #expect(window.produced == UInt64(sent.count))
    }

    @Test("what is sent again has every byte once, in runs of a packet's size")
    func runs() throws {
        var window = OutputWindow(bound: 100_000)
        window.mode = .unattended
        var said: [UInt8] = []
        for number in 0..<3_000 {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 97)
            _ = try window.append(bytes)
            said += bytes
        }
        #expect(window.dropped == UInt64(said.count - 100_000))
        let start = window.dropped + 12_345
        let runs = window.runs(from: start, limit: 4_000)
        var next = start
        for run in runs {
            #expect(run.offset == next && (1...4_000).contains(run.bytes.count))
            #expect(run.bytes.elementsEqual(said[Int(next)...].prefix(run.bytes.count)))
            next += UInt64(run.bytes.count)
        }
        #expect(next == window.produced)
        #expect(runs.count == (100_000 - 12_345 + 3_999) / 4_000)
        #expect(window.runs(from: window.produced).isEmpty)
    }
}
