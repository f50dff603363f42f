using static TorchSharp.torch;

namespace GradientAtoms.Bench.Nulls;

/// <summary>Rows that have a covariance and nothing else, of several nasty kinds, and the same with planted groups.</summary>
internal static class RowsWithoutStructure
{
    /// <summary>The kinds.</summary>
    public static readonly string[] Kinds = ["flat", "power", "dominant", "low-rank", "lengths", "duplicates", "wide", "offset"];

    /// <summary>Draws rows.</summary>
    /// <param name="kind">One of <see cref="Kinds"/>.</param>
    /// <param name="documents">N.</param>
    /// <param name="size">k, except of <c>wide</c>, which has as many as documents.</param>
    /// <param name="seed">Of the draw.</param>
    /// <returns><c>[N, k]</c>, float32, of length 1 but for <c>lengths</c>. The caller owns it.</returns>
    public static Tensor Draw(string kind, int documents, int size, long seed)
    {
        using var scope = NewDisposeScope();
        using var generator = RandomStream.Torch(seed, "bench/nulls/rows");
        var width = kind == "wide" ? 5 * documents : size;
        var rows = randn([documents, width], generator: generator) * Spectrum(kind, width).sqrt();
        switch (kind)
        {
            case "lengths":
                // Before rows are scaled to one length, a few documents are much longer than most (Student's t of 3 degrees).
                var chi = randn([documents, 3], generator: generator).square().mean([1L], keepdim: true);
                return (nn.functional.normalize(rows, dim: 1) * chi.rsqrt().clamp(0.3, 5)).MoveToOuterDisposeScope();
            case "duplicates":
                // A tenth of the documents has a near-duplicate.
                var twins = documents / 10;
                rows = nn.functional.normalize(rows, dim: 1);
                rows.narrow(0, 0, twins).copy_(rows.narrow(0, twins, twins) + (0.1 / Math.Sqrt(width) * randn([twins, width], generator: generator)));
                break;
            case "offset":
                // A mean that was not taken away.
                rows = nn.functional.normalize(rows, dim: 1) + (0.5 * nn.functional.normalize(randn([1, width], generator: generator), dim: 1));
                break;
        }

        rows = nn.functional.normalize(rows, dim: 1);
        return (kind is "wide" or "duplicates" ? Coordinates(rows) : rows).MoveToOuterDisposeScope();
    }

    /// <summary>Puts groups into rows: each group's documents get a direction of their own, mixed in with a strength, and all have length 1 again.</summary>
    /// <param name="rows"><c>[N, k]</c>, replaced.</param>
    /// <param name="groups">Groups, of disjoint documents.</param>
    /// <param name="members">Documents of each.</param>
    /// <param name="strength">The group's cosine between its documents, about.</param>
    /// <param name="seed">Of the draw.</param>
    /// <returns>Rows and each document's group, −1 for none.</returns>
    public static (Tensor Rows, int[] Groups) Plant(Tensor rows, int groups, int members, double strength, long seed)
    {
        using var scope = NewDisposeScope();
        using var generator = RandomStream.Torch(seed, "bench/nulls/groups");
        var planted = nn.functional.normalize(rows, dim: 1);
        var directions = nn.functional.normalize(randn([groups, rows.shape[1]], generator: generator), dim: 1);
        var order = Enumerable.Range(0, (int)rows.shape[0]).ToArray();
        RandomStream.Integers(seed, "bench/nulls/members").Shuffle(order);
        var belongs = Enumerable.Repeat(-1, order.Length).ToArray();
        for (var place = 0; place < groups * members; place++)
        {
            var (document, group) = (order[place], place / members);
            belongs[document] = group;
            planted[document] = (Math.Sqrt(1 - strength) * planted[document]) + (Math.Sqrt(strength) * directions[group]);
        }

        return (nn.functional.normalize(planted, dim: 1).MoveToOuterDisposeScope(), belongs);
    }

    private static Tensor Spectrum(string kind, int width)
    {
        var places = arange(1, width + 1, ScalarType.Float32);
        return kind switch
        {
            "flat" or "lengths" or "offset" => ones(width),
            "dominant" => where(places.le(3), 0.2 * ones(width), 0.4 / (width - 3) * ones(width)), // three directions with a fifth of the energy each
            "low-rank" => where(places.le(6), ones(width), 1e-3 * ones(width)),
            _ => places.reciprocal(),
        };
    }

    // As the coordinates of an exact audit: centred, on as many axes as there are documents.
    private static Tensor Coordinates(Tensor rows)
    {
        using var scope = NewDisposeScope();
        var gram = rows.to(ScalarType.Float64).matmul(rows.to(ScalarType.Float64).t());
        using var coordinates = GradientAtoms.Coordinates.GramCoordinates.Fit(gram, [.. Enumerable.Repeat(true, (int)rows.shape[0])], center: true);
        return coordinates.Rows.clone().MoveToOuterDisposeScope();
    }
}
