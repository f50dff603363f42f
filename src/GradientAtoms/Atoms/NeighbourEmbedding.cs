namespace GradientAtoms.Atoms;

/// <summary>t-SNE (van der Maaten and Hinton, 2008) from a given start, exact, for some thousands of points at most.</summary>
internal static class NeighbourEmbedding
{
    /// <summary>Moves points so that near neighbours come near and others make room.</summary>
    /// <param name="points">x and y by turns, <c>[K, 2]</c>; the start, changed in place.</param>
    /// <param name="squaredDistances"><c>[K, K]</c>, by rows.</param>
    /// <param name="rounds">Gradient steps.</param>
    public static void Refine(double[] points, double[] squaredDistances, int rounds)
    {
        var count = points.Length / 2;
        var perplexity = Math.Min(12.0, (count - 1) / 3.0);
        if (perplexity < 1)
        {
            return;
        }

        var affinities = JointAffinities(squaredDistances, count, perplexity);
        Rescale(points, 1e-2);
        var gradient = new double[points.Length];
        var velocity = new double[points.Length];
        var gains = Enumerable.Repeat(1.0, points.Length).ToArray();
        var kernel = new double[count * count];
        var learningRate = Math.Max(count / 4.0, 10);
        for (var round = 0; round < rounds; round++)
        {
            // The published schedule: attraction exaggerated at first, then more momentum.
            var (exaggeration, momentum) = round < rounds / 4 ? (4.0, 0.5) : (1.0, 0.8);
            Gradient(points, affinities, exaggeration, kernel, gradient);
            for (var entry = 0; entry < points.Length; entry++)
            {
                var agrees = gradient[entry] > 0 == velocity[entry] > 0;
                gains[entry] = Math.Max(agrees ? gains[entry] * 0.8 : gains[entry] + 0.2, 0.01);
                velocity[entry] = (momentum * velocity[entry]) - (learningRate * gains[entry] * gradient[entry]);
                points[entry] += velocity[entry];
            }
        }
    }

    /// <summary>Gaussian neighbour probabilities at one perplexity for all, made symmetric; they add up to 1.</summary>
    private static double[] JointAffinities(double[] squaredDistances, int count, double perplexity)
    {
        var conditional = new double[count * count];
        var target = Math.Log(perplexity);
        for (var row = 0; row < count; row++)
        {
            var distances = squaredDistances.AsSpan(row * count, count);
            var probabilities = conditional.AsSpan(row * count, count);
            var nearest = double.MaxValue;
            for (var other = 0; other < count; other++)
            {
                nearest = other == row ? nearest : Math.Min(nearest, distances[other]);
            }

            var (low, high, precision) = (0.0, double.PositiveInfinity, 1.0);
            for (var attempt = 0; attempt < 60; attempt++)
            {
                var (sum, weighted) = (0.0, 0.0);
                for (var other = 0; other < count; other++)
                {
                    // Distances count from the nearest one, so that the sum never underflows to 0.
                    var distance = distances[other] - nearest;
                    probabilities[other] = other == row ? 0 : Math.Exp(-precision * distance);
                    sum += probabilities[other];
                    weighted += probabilities[other] * distance;
                }

                var entropy = Math.Log(sum) + (precision * weighted / sum);
                for (var other = 0; other < count; other++)
                {
                    probabilities[other] /= sum;
                }

                if (Math.Abs(entropy - target) < 1e-5)
                {
                    break;
                }

                (low, high) = entropy > target ? (precision, high) : (low, precision);
                precision = double.IsPositiveInfinity(high) ? precision * 2 : (low + high) / 2;
            }
        }

        var joint = new double[count * count];
        for (var row = 0; row < count; row++)
        {
            for (var other = 0; other < count; other++)
            {
                joint[(row * count) + other] = (conditional[(row * count) + other] + conditional[(other * count) + row]) / (2.0 * count);
            }
        }

        return joint;
    }

    private static void Gradient(double[] points, double[] affinities, double exaggeration, double[] kernel, double[] gradient)
    {
        var count = points.Length / 2;
        var sum = 0.0;
        for (var row = 0; row < count; row++)
        {
            for (var other = 0; other < row; other++)
            {
                var (x, y) = (points[row * 2] - points[other * 2], points[(row * 2) + 1] - points[(other * 2) + 1]);
                var value = 1 / (1 + (x * x) + (y * y));
                kernel[(row * count) + other] = kernel[(other * count) + row] = value;
                sum += 2 * value;
            }
        }

        Array.Clear(gradient);
        for (var row = 0; row < count; row++)
        {
            for (var other = 0; other < count; other++)
            {
                if (other == row)
                {
                    continue;
                }

                var value = kernel[(row * count) + other];
                var force = 4 * ((exaggeration * affinities[(row * count) + other]) - (value / sum)) * value;
                gradient[row * 2] += force * (points[row * 2] - points[other * 2]);
                gradient[(row * 2) + 1] += force * (points[(row * 2) + 1] - points[(other * 2) + 1]);
            }
        }
    }

    private static void Rescale(double[] points, double size)
    {
        var largest = Math.Max(points.Max(Math.Abs), 1e-12);
        for (var entry = 0; entry < points.Length; entry++)
        {
            points[entry] *= size / largest;
        }
    }
}
