import BulkheadCore
import HTTPTypes
import Hummingbird

/// Puts paths into the router such that a method that a path does not have is told apart from a path that does
/// not exist.
struct RouteTable {
    typealias Handler = @Sendable (Request, CallContext) async throws -> Response

    private static let methods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .options, .trace, .connect,
    ]
    let router: Router<CallContext>

    /// Adds a path with what it does for each method; HEAD goes with GET.
    func add(_ path: RouterPath, _ handlers: [HTTPRequest.Method: Handler]) {
        var handlers = handlers
        handlers[.head] = handlers[.get]
        let allowed = Self.methods.filter { handlers[$0] != nil || $0 == .options }
        let allow: HTTPFields = [.allow: allowed.map(\.rawValue).joined(separator: ", ")]
        handlers[.options] = { _, _ in Response(status: .noContent, headers: allow) }
        for method in Self.methods {
            let refusal: Handler = { _, _ in throw MethodRefusal(method: method, allow: allow) }
            router.on(path, method: method, use: handlers[method] ?? refusal)
        }
    }

    /// Adds a path of the API that this version does not have yet.
    func addLater(_ paths: RouterPath...) {
        for path in paths {
            for method in Self.methods {
                router.on(path, method: method) { request, _ -> Response in
                    throw BulkheadError(
                        .notFound,
                        "this version of Bulkhead does not have \(request.uri.path) yet"
                    )
                }
            }
        }
    }

    static func knows(_ method: HTTPRequest.Method) -> Bool { methods.contains(method) }
}

/// A path exists, but not with this method.
struct MethodRefusal: Error {
    var method: HTTPRequest.Method
    var allow: HTTPFields
}
