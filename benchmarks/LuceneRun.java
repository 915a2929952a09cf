// What Lucene finds with its own analyzer of a language: BM25, k1 = 1.2 and b = 0.75, of documents as they are.
//
//     java -cp JAR LuceneRun.java ANALYZER documents.tsv queries.tsv hits > run.tsv
//
// JAR has Lucene's core and analyzers (Anserini's does). ANALYZER is the class of one. Documents and queries are lines of
// an id, a tab and a text; the run has lines of a query's id and a document's, the best first.

import java.io.BufferedReader;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.ByteBuffersDirectory;

class LuceneRun {
    public static void main(String[] arguments) throws Exception {
        Analyzer analyzer = (Analyzer) Class.forName(arguments[0]).getDeclaredConstructor().newInstance();
        BM25Similarity similarity = new BM25Similarity(1.2f, 0.75f);
        IndexSearcher.setMaxClauseCount(1 << 20);
        try (ByteBuffersDirectory directory = new ByteBuffersDirectory()) {
            try (IndexWriter writer = new IndexWriter(directory, new IndexWriterConfig(analyzer).setSimilarity(similarity));
                    BufferedReader lines = Files.newBufferedReader(Path.of(arguments[1]))) {
                for (String line; (line = lines.readLine()) != null; ) {
                    String[] cells = line.split("\t", 2);
                    Document document = new Document();
                    document.add(new StoredField("id", cells[0]));
                    document.add(new TextField("text", cells[1], Field.Store.NO));
                    writer.addDocument(document);
                }
            }
            try (DirectoryReader reader = DirectoryReader.open(directory);
                    BufferedReader lines = Files.newBufferedReader(Path.of(arguments[2]))) {
                IndexSearcher searcher = new IndexSearcher(reader);
                searcher.setSimilarity(similarity);
                for (String line; (line = lines.readLine()) != null; ) {
                    String[] cells = line.split("\t", 2);
                    BooleanQuery.Builder query = new BooleanQuery.Builder();
                    try (TokenStream tokens = analyzer.tokenStream("text", cells[1])) {
                        CharTermAttribute term = tokens.addAttribute(CharTermAttribute.class);
                        tokens.reset();
                        while (tokens.incrementToken()) {
                            query.add(new TermQuery(new Term("text", term.toString())), BooleanClause.Occur.SHOULD);
                        }
                    }
                    StringBuilder found = new StringBuilder();
                    for (ScoreDoc hit : searcher.search(query.build(), Integer.parseInt(arguments[3])).scoreDocs) {
                        String id = searcher.storedFields().document(hit.doc).get("id");
                        found.append(cells[0]).append('\t').append(id).append('\n');
                    }
                    System.out.print(found);
                }
            }
        }
    }
}
