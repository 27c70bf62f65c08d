import BulkheadCore
import Testing

@Suite("OutputPlaces")
struct OutputPlacesTests {
    private func piece(
        _ channel: OutputChannel = .stdout,
        attempt: Int = 1,
        at offset: Int64,
        _ content: OutputPiece.Content
    ) -> OutputPiece {
        OutputPiece(sequence: 1, channel: channel, attempt: attempt, offset: offset, content: content)
    }

    @Test("of a gap that has grown over what was read only the rest is missing")
    func grownGap() {
        var places = OutputPlaces()
        #expect(places.unread(piece(at: 0, .bytes([1, 2, 3])))?.offset == 0)
        #expect(places.unread(piece(at: 0, .gap(10))) == piece(at: 3, .gap(7)))
        #expect(places.unread(piece(at: 5, .gap(5))) == nil)
        #expect(places.unread(piece(at: 8, .bytes([8, 9, 10]))) == piece(at: 10, .bytes([10])))
    }

    @Test("streams and attempts have places of their own")
    func apart() {
        var places = OutputPlaces()
        let first = piece(at: 0, .bytes([1, 2, 3]))
        #expect(places.unread(first) == first && places.unread(first) == nil)
        let error = piece(.stderr, at: 0, .gap(2))
        #expect(places.unread(error) == error)
        let later = piece(attempt: 2, at: 0, .bytes([1]))
        #expect(places.unread(later) == later)
    }
}
